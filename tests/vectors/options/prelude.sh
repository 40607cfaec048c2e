mkdir .t
cat >.t/rsh <<'END'
#!/bin/sh
shift
exec sh -c "$*"
END
cat >.t/logged <<'END'
#!/bin/sh
shift
printf '%s\n' "$@" >words
exec sh -c "$*"
END
cat >.t/cut <<'END'
#!/bin/sh
shift
exec 3<&0
mkfifo .t/pipe
sh -c "exec $*" <&3 >.t/pipe &
dd bs=8192 count=100 <.t/pipe 2>/dev/null
kill $!
END
cat >.t/silent <<'END'
#!/bin/sh
exec sleep 3
END
cat >.t/liar <<'END'
#!/bin/sh
exec "$RSYNC" --server --sender -re.LsfxCIvu . evil/f
END
chmod +x .t/rsh .t/logged .t/cut .t/silent .t/liar
FAR="-e .t/rsh --rsync-path=$RSYNC"
LOGGED="-e .t/logged --rsync-path=$RSYNC"
CUT="-e .t/cut --rsync-path=$RSYNC"
need_root() { [ "$(id -u)" = 0 ] || exit 77; }
need_plain() { [ "$(id -u)" != 0 ] || exit 77; }
need_mount() { [ -e /dev/pts/ptmx ] || exit 77; }
need_xattrs() { : >.t/x; setfattr -n user.t -v 1 .t/x 2>/dev/null || exit 77; }
need_acls() { : >.t/x; setfacl -m u:1:7 .t/x 2>/dev/null || exit 77; }
need_atimes() { echo x >.t/x; touch -a -d @1 .t/x; cat .t/x >/dev/null; [ "$(stat -c %X .t/x)" != 1 ] || exit 77; }
need_strace() { strace -o .t/x true 2>/dev/null || { echo "SKIPPED: no strace" >&2; exit 77; }; }
need_preallocation() { fallocate -l 4096 .t/x 2>/dev/null || { echo "SKIPPED: no fallocate" >&2; exit 77; }; }
LONG=0123456789012345678901234567890123456789
xattrs() { getfattr -d -m user "$1" | grep = || :; }
acl() { getfacl -cnp "$1" | grep . ; }
