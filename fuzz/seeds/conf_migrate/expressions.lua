--[[ block
comment ]]
local base = "/srv" -- line comment
local conf = { host = "127.0.0.1", mod = [[m]], ["port"] = 18731 }
local opts = { archive = true; owner = false, }
settings({ nodaemon = true, statusInterval = 1, })
sync{
  default.rsync,
  source = base .. '/da' .. "ta",
  target = "rsync://" .. conf.host .. ":" .. conf["port"] .. "/" .. conf.mod .. "/",
  delay = 0.5,
  rsync = opts,
}
