settings{ nodaemon = true, maxProcesses = 4, inotifyMode = "CloseWrite or Modify" }

local src = "/srv/data"
targets = {
    "rsync://127.0.0.1:18731/m/",
    'rsync://127.0.0.1:18731/m2',
}

for _, t in ipairs( targets ) do
    sync{
        default.rsync,
        source = src,
        target = t,
        delete = "running",
        exclude = { ".git", "*.tmp", "/cache" },
        rsync = { archive = true, bwlimit = 2000, _extra = { "--omit-dir-times", "--modify-window=1" } },
    }
end
