#!/bin/sh
# podman.sh start DIR | stop DIR
# What: a private Podman with its Docker-compatible socket; no tty, stdin or systemd needed. Its configuration, images
# and containers live in DIR: a Podman of the user's and a Docker engine beside it are left alone. `start` prints the
# socket's address, all else goes to standard error. `stop` ends that service and its containers and removes what
# `start` put in DIR. Both may be repeated. What stays: the firewall's chains and /run/netns of a container that had a
# network, which any Podman may need; ours have none.
# Why: RUNTIME=docker also speaks to Podman's socket, and a mock would not show what that socket gets wrong.
# When: before and after the tests that need a container engine are run on Podman. Exit code 77: Podman cannot be had here, with the reason.
set -eu
PATH=$PATH:/usr/sbin:/sbin
export PATH

here=$(cd "$(dirname "$0")" && pwd)
say() { echo "podman.sh: $*" >&2; }
refuse() { say "$*"; exit 77; }
alive() { curl -sf --max-time 3 --unix-socket "$D/podman.sock" http://d/_ping >/dev/null 2>&1; }
limit() { awk -F '  +' -v name="$1" -v top="$2" '$1 == name {print $3 + 0 && $3 < top ? $3 : top}' /proc/self/limits; }
runs() { grep -qs '^State:.[^ZX]' "/proc/$1/status"; } # a zombie runs no more

install_podman() {
    if command -v podman >/dev/null && command -v curl >/dev/null; then return; fi
    "$here/debian" podman buildah crun runc netavark aardvark-dns iptables uidmap catatonit curl >&2 ||
        refuse "podman is missing and cannot be installed (the reason is above)"
}

configure() {
    # runc: crun refuses a machine with both versions of cgroups.
    # Limits: Podman would raise them, which takes a capability that root may lack.
    runtime=$(command -v runc >/dev/null && echo runc || echo crun)
    files=$(limit "Max open files" 1048576)
    processes=$(limit "Max processes" "$(cat /proc/sys/kernel/pid_max)")
    cat >"$D/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
image_copy_tmp_dir = "$D/tmp"
lock_type = "file"
runtime = "$runtime"
static_dir = "$D/storage/libpod"
tmp_dir = "$D/run/libpod"
volume_path = "$D/storage/volumes"
[network]
network_config_dir = "$D/storage/networks"
CONF
    cat >"$D/storage.conf" <<CONF
[storage]
driver = "overlay"
graphroot = "$D/storage"
runroot = "$D/run"
CONF
    cat >"$D/registries.conf" <<CONF
[[registry]]
prefix = "127.0.0.1"
location = "127.0.0.1"
insecure = true
CONF
}

start() {
    mkdir -p "$D"
    if ! alive; then
        mkdir -p "$D/tmp"
        install_podman
        configure
        rm -f "$D/podman.sock"
        cd "$D" # where its monitors drop a file `oom`
        setsid podman system service --time=0 "unix://$D/podman.sock" </dev/null >"$D/podman.log" 2>&1 &
        echo $! >"$D/podman.pid"
        i=0
        until alive; do
            i=$((i + 1))
            if ! runs "$!" || [ $i -gt 150 ]; then refuse "podman does not answer: $(tail -1 "$D/podman.log")"; fi
            sleep 0.2
        done
    fi
    echo "unix://$D/podman.sock"
}

stop() {
    [ -f "$D/podman.pid" ] || return 0
    pid=$(cat "$D/podman.pid")
    podman rm --all --force --time 0 >/dev/null || say "some containers could not be removed"
    if grep -qs "unix://$D/podman.sock" "/proc/$pid/cmdline"; then kill "$pid"; fi
    i=0
    while runs "$pid" && [ $i -lt 75 ]; do sleep 0.2; i=$((i + 1)); done
    awk -v d="$D/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r | while read -r m; do umount "$m"; done
    rm -rf "$D/storage" "$D/run" "$D/tmp" "$D"/*.conf "$D"/podman.* "$D/oom"
    rmdir "$D" 2>/dev/null || say "$D holds other things and stays"
}

[ $# = 2 ] || { say "expected start DIR or stop DIR, found: $*"; exit 2; }
case $2 in /*) D=$2 ;; *) D=$PWD/$2 ;; esac
[ ${#D} -le 95 ] || { say "$D has ${#D} characters; a socket's path allows 95 here. Take a shorter one"; exit 2; }
export CONTAINERS_CONF="$D/containers.conf" CONTAINERS_STORAGE_CONF="$D/storage.conf"
export CONTAINERS_REGISTRIES_CONF="$D/registries.conf" TMPDIR="$D/tmp"
case $1 in
    start | stop) "$1" ;;
    *) say "expected start DIR or stop DIR, found: $*"; exit 2 ;;
esac
