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
