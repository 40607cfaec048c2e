settings{ nodaemon = true }
sync{ default.rsync, source="/srv/data", target="/srv/copy" }
sync{
  source = "/srv/data", target = "/srv/copy2", delay = 1,
  onCreate = "cp ^sourcePathname ^targetPathname",
  onDelete = function( event ) log("Normal", "gone ", event.path) end,
}
if os.getenv("NEVER") then sync{ default.rsync, source="/a", target="/b" } end
