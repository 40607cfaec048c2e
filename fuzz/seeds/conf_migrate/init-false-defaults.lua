settings{ nodaemon = true }
sync{ default.rsync, source="/srv/data", target="/srv/copy", init=false }
sync{ default.rsync, source="/srv/data", target="host1:", rsync={ acls=true, xattrs=true, hard_links=true, whole_file=true, rsh="/usr/bin/ssh -p 22", timeout=60 } }
