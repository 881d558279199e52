#!/usr/bin/env bash
# What: a real Ray of two nodes on this one host, a head (n1) and another (n2), with one CPU and one GPU each; the GPUs are
# none. Why: tests of ON=ray need the real one. When: the tests beside this file start and stop it; by hand,
# `ray.sh install DIR; ray.sh start DIR; export RAY_ADDRESS=$(cat DIR/address) RAY_AUTH_TOKEN_PATH=DIR/token`.
#
#     ray.sh missing                say what keeps it from being run here; nothing if nothing does
#     ray.sh install DIR            an environment: this checkout's .venv, and Ray of requirements.lock in DIR/venv
#     ray.sh start|stop DIR         both nodes; DIR has a short path, since sockets lie in it
#     ray.sh node-start|node-kill DIR NODE
#
# Needs root, and Ray from a package index or from uv's cache (79 MB).
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../../../.." && pwd)

missing() {
    [ "$(id -u)" = 0 ] || { echo "it needs root"; return; }
    unshare --pid --uts --fork --mount-proc true 2>/dev/null || echo "it needs namespaces of processes"
}

install() {
    local dir=$1 site
    mkdir -p "$dir"
    "$ROOT/.venv/bin/python" -m venv --without-pip "$dir/venv"
    site=$("$dir/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$ROOT/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/matterzoo.pth"
    "$ROOT/.venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" --constraints "$ROOT/requirements.lock" ray
}

start_node() {  # a node's processes see only one another, and end together
    local dir=$1 node=$2
    local role=(--address="$(cat "$dir/address")")
    [ "$node" = n1 ] && role=(--head --port="$(cut -d: -f2 "$dir/address")" --include-dashboard=false --temp-dir="$dir/ray")
    # shellcheck disable=SC2016
    env -u PYTHONDONTWRITEBYTECODE RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$dir/token" RAY_USAGE_STATS_ENABLED=0 \
        RAY_gcs_rpc_server_reconnect_timeout_s=10 RAY_health_check_period_ms=2000 \
        setsid unshare --pid --uts --propagation slave --fork --mount-proc --kill-child=KILL \
        bash -c 'hostname "$1" && shift && "$@" & wait' bash "$node" "$dir/venv/bin/python" -m ray.scripts.scripts start \
        "${role[@]}" --num-cpus=1 --num-gpus=1 --object-store-memory=80000000 --block \
        >"$dir/$node.out" 2>&1 </dev/null &
    echo $! >"$dir/$node.pid"
}

kill_node() {  # as if its power had gone
    local pid
    pid=$(cat "$1/$2.pid" 2>/dev/null) || return 0
    kill -KILL "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

nodes() {  # how many of them live
    RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$1/token "$1/venv/bin/python" - "$(cat "$1/address")" <<'PYTHON' 2>/dev/null || echo 0
import sys
import ray
ray.init(sys.argv[1], log_to_driver=False, logging_level="error")
print(sum(node["Alive"] for node in ray.nodes()))
PYTHON
}

start() {
    local dir=$1
    head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/token"
    chmod 600 "$dir/token"
    echo "$(hostname -I | cut -d' ' -f1):$((20000 + RANDOM % 10000))" >"$dir/address"
    start_node "$dir" n1
    for _ in $(seq 120); do
        grep -q "Ray runtime started" "$dir/n1.out" && break
        sleep 0.5
    done
    start_node "$dir" n2
    for _ in $(seq 10); do
        [ "$(nodes "$dir")" = 2 ] && return
        sleep 1
    done
    echo "Ray is not ready; see $dir/n1.out" >&2
    tail -5 "$dir"/n?.out >&2
    return 1
}

stop() {
    local node
    for node in n1 n2; do kill_node "$1" $node; done
}

case ${1:-} in
    missing) missing ;;
    install) install "$2" ;;
    start) start "$2" ;;
    stop) stop "$2" ;;
    node-start) start_node "$2" "$3" ;;
    node-kill) kill_node "$2" "$3" ;;
    *) sed -n '2,11s/^# \?//p' "$0" >&2; exit 2 ;;
esac
