#!/usr/bin/env bash
# What: a real Slurm on this one host: munged, slurmctld, and a slurmd for each of four nodes, which have four processors and
# two GPUs each. The GPUs are devices that read like /dev/zero. Why: tests of ON=slurm need the real one. When: the
# tests beside this file start and stop it; by hand, `slurm.sh start DIR; export SLURM_CONF=DIR/slurm.conf; sinfo`.
#
#     slurm.sh missing              say what keeps it from being run here; nothing if nothing does
#     slurm.sh start|stop DIR       everything, in a folder of its own
#     slurm.sh node-start|node-kill DIR NODE
#     slurm.sh as DIR USER WORD…    run a command as this user, in the group `users`
#
# Needs root and Debian's slurmctld, slurmd, slurm-client and munge.
set -euo pipefail
NODES="n1 n2 n3 n4"   # n2 is there to be lost, n3 to be taken away, n4 to run out of time

missing() {
    local program
    [ "$(id -u)" = 0 ] || { echo "it needs root"; return; }
    for program in slurmctld slurmd sbatch munged; do
        command -v $program >/dev/null && continue
        echo "$program is missing: apt-get install slurmctld slurmd slurm-client munge"
        return
    done
    unshare --pid --uts --fork --mount-proc true 2>/dev/null || echo "it needs namespaces of processes"
}

write_configuration() {
    local dir=$1 port=$2 host node n=0
    host=$(hostname -s)
    cat >"$dir/slurm.conf" <<CONF
ClusterName=matterzoo
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$port
AuthType=auth/munge
CredType=cred/munge
# Slurm lets a task wait until the credentials of its last start have expired, before it starts it again.
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
ReturnToService=2
SlurmdTimeout=6
KillWait=15
OverTimeLimit=0
MinJobAge=60
MaxArraySize=101
JobRequeue=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,sched_min_interval=0,bf_interval=2,batch_sched_delay=0
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
CONF
    : >"$dir/gres.conf"
    for node in $NODES; do
        n=$((n + 1))
        echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + n)) CPUs=4 RealMemory=2000" \
            "Gres=gpu:2 State=UNKNOWN" >>"$dir/slurm.conf"
        for gpu in 0 1; do
            mknod "$dir/$node-gpu$gpu" c 1 5
            echo "NodeName=$node Name=gpu File=$dir/$node-gpu$gpu" >>"$dir/gres.conf"
        done
    done
    cat >>"$dir/slurm.conf" <<CONF
PartitionName=main Nodes=ALL Default=YES State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=canceled Nodes=ALL State=UP PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes=ALL State=UP PriorityTier=10 PreemptMode=OFF
CONF
}

open_home() {  # Python may lie in root's home, where other users may not go: here, in these mounts, they may
    local dir=$1/home home entry
    home=$(getent passwd 0 | cut -d: -f6)
    case $(stat -c %A "$home") in *x) return ;; esac
    mount --rbind "$home" "$dir"
    mount -t tmpfs -o mode=755 none "$home"
    for entry in $(ls -A "$dir"); do
        if [ -d "$dir/$entry" ]; then mkdir "$home/$entry"; else touch "$home/$entry"; fi
        mount --rbind "$dir/$entry" "$home/$entry"
    done
    umount --lazy "$dir"
}

start_node() {  # a node's processes see only one another, and end together; bash, their first, buries orphans
    SLURM_CONF=$1/slurm.conf setsid unshare --pid --uts --propagation slave --fork --mount-proc --kill-child=KILL \
        bash "$0" node-run "$1" "$2" >"$1/slurmd.$2.out" 2>&1 </dev/null &
    echo $! >"$1/node.$2.pid"
}

run_node() {
    open_home "$1"
    hostname "$2"
    slurmd -D -N "$2" &
    wait
}

run_as() {
    open_home "$1"
    exec setpriv --reuid "$2" --regid users --clear-groups -- "${@:3}"
}

kill_node() {  # as if its power had gone
    local pid
    pid=$(cat "$1/node.$2.pid")
    kill -KILL "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

start() {
    local dir=$1 port node
    mkdir -p "$dir/state"
    for node in $NODES; do mkdir -p "$dir/spool.$node"; done
    chmod 755 "$dir"    # other users submit, too
    mkdir "$dir/home" "$dir/disk"   # a small one, which nodes see because it is there before them
    mount -t tmpfs -o size=16m none "$dir/disk"
    port=$((20000 + RANDOM % 10000))
    head -c 1024 /dev/urandom >"$dir/munge.key"
    chmod 600 "$dir/munge.key"
    write_configuration "$dir" "$port"
    munged --force --key-file "$dir/munge.key" --socket "$dir/munge.socket" --pid-file "$dir/munged.pid" \
        --log-file "$dir/munged.log" --seed-file "$dir/munge.seed" 2>/dev/null
    export SLURM_CONF=$dir/slurm.conf
    slurmctld
    for node in $NODES; do start_node "$dir" "$node"; done
    for _ in $(seq 300); do
        [ "$(sinfo --noheader --partition main --states idle --format %D 2>/dev/null)" = 4 ] && return
        sleep 0.1
    done
    echo "Slurm is not ready after 30 s; see $dir/slurmctld.log" >&2
    tail -5 "$dir"/slurm*.log >&2
    return 1
}

stop() {
    local dir=$1 node name pid
    for node in $NODES; do kill_node "$dir" "$node"; done
    umount "$dir/disk" || true
    for name in slurmctld munged; do
        pid=$(cat "$dir/$name.pid" 2>/dev/null) && kill -KILL "$pid" 2>/dev/null || true
    done
}

PATH=$PATH:/usr/sbin
case ${1:-} in
    missing) missing ;;
    start) start "$2" ;;
    stop) stop "$2" ;;
    node-start) start_node "$2" "$3" ;;
    node-kill) kill_node "$2" "$3" ;;
    node-run) run_node "$2" "$3" ;;   # start_node, in the node's own namespaces
    as) exec unshare --mount --propagation slave bash "$0" run-as "${@:2}" ;;
    run-as) run_as "${@:2}" ;;
    *) sed -n '2,11s/^# \?//p' "$0" >&2; exit 2 ;;
esac
