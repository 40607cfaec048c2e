settings{ insist = true, statusFile = "/srv/st" }
sync{
    default.rsyncssh,
    source    = "/srv/data/",
    host      = "backup@192.0.2.7",
    targetdir = "/backup/data",
    delay     = 1,
    rsync     = { archive = true, perms = false },
    ssh       = { port = 2222, identityFile = "/root/.ssh/id_mirror", options = { StrictHostKeyChecking = "no" }, _extra = { "-q" } },
}
