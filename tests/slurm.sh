#!/usr/bin/env bash
# Runs the batch scripts of docs/cluster on a SLURM of one node, from Debian's packages (slurm-wlm, munge), as people do:
# certificates, a driver, two workers, of which one is killed. `make slurm-test` calls it, as root. The node's 32 cores,
# 200 GB and two GPUs are pretended; its configuration and state lie in a folder of their own, which is removed.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
export MARQUEE_PYTHON=${MARQUEE_PYTHON:-python}

fail() { echo "slurm-test: $*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }

[ "$(id -u)" -eq 0 ] || fail "only root can start munge and SLURM: run it as root, in a container say"
if ! { command -v slurmctld && command -v slurmd && command -v munged; } > /dev/null; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurm-wlm munge > /dev/null
fi

root=$(mktemp -d)
host=$(hostname -s)
mkdir "$root"/{state,spool,jobs,munge}
export SLURM_CONF=$root/slurm.conf
tidy() {
  scancel --quiet --user=root 2> /dev/null || true
  for service in slurmd slurmctld munged; do
    [ -s "$root/$service.pid" ] || continue
    pid=$(cat "$root/$service.pid")
    kill "$pid" || true
    while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
  done
  rm -rf "$root"
}
trap tidy EXIT

step "a SLURM of one node"
cat > "$SLURM_CONF" <<CONF
ClusterName=marquee-test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$root/munge/socket
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool
SlurmctldLogFile=$root/slurmctld.log
SlurmdLogFile=$root/slurmd.log
SlurmctldPidFile=$root/slurmctld.pid
SlurmdPidFile=$root/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=32 RealMemory=200000 Gres=gpu:2 State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
printf 'Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n' > "$root/gres.conf"
(umask 077 && head -c 1024 /dev/urandom > "$root/munge.key")
chmod 711 "$root" "$root/munge" # others may talk to munge, which says who they are
munged --key-file="$root/munge.key" --socket="$root/munge/socket" --pid-file="$root/munged.pid" \
  --seed-file="$root/munge.seed" --log-file="$root/munged.log"
slurmctld -f "$SLURM_CONF"
slurmd -f "$SLURM_CONF"
for _ in $(seq 60); do
  [ "$(sinfo --noheader --format=%T 2> /dev/null)" != idle ] || break
  sleep 0.5
done
sinfo

step "trailers, and what one process finds in them"
"$MARQUEE_PYTHON" -m bench.demo_trailers "$root/demo"
cheap=(--experts "lowlevel,spectrogram" --detector content) # seconds for each trailer
status=0
"$MARQUEE_PYTHON" -m extract --videos "$root/demo/videos" --out "$root/reference" "${cheap[@]}" || status=$?
[ "$status" -eq 3 ] || fail "extract ended with status $status, not 3: one file of the demo is no video"
takes=()
for take in $(seq 6); do
  takes+=("take-$take")
  mkdir -p "$root/takes"
  cp -r "$root/demo/videos" "$root/takes/take-$take"
done

step "certificates, the driver, two workers"
export MARQUEE_CERTIFICATES=$root/certificates
"$MARQUEE_PYTHON" -m extract cluster-certificates "$MARQUEE_CERTIFICATES"
sbatch --wait --output="$root/jobs/driver.log" docs/cluster/slurm-driver.sbatch \
  "$root/takes" "$root/features" --shard-size 2 --device cpu "${cheap[@]}" &
driver=$!
workers=$(sbatch --parsable --array=0-1 --output="$root/jobs/worker-%a.log" docs/cluster/slurm-workers.sbatch)
show() { tail -n 40 "$root"/jobs/*.log "$root"/slurm*.log >&2; fail "$*"; }

until ls "$root"/features/lowlevel/*.parquet > /dev/null 2>&1; do
  kill -0 "$driver" 2> /dev/null || show "the driver ended before its first shard"
  sleep 0.2
done

step "who may do what"
file=$MARQUEE_CERTIFICATES/scheduler.json
[ "$(stat -c %a "$file" "$MARQUEE_CERTIFICATES/key.pem" "$MARQUEE_CERTIFICATES" | xargs)" = "600 600 700" ] \
  || show "others may read the scheduler's file or the key"
address=$("$MARQUEE_PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$file")
case $address in tls://*) ;; *) show "the scheduler is at $address, not at tls://" ;; esac
if DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT=3s "$MARQUEE_PYTHON" -c \
  'import sys; from distributed import Client; Client(sys.argv[1], timeout=3)' "tcp://${address#tls://}" 2> /dev/null; then
  show "the scheduler speaks to who has no certificate"
fi
echo "$address speaks to nobody without a certificate"

step "one worker is killed"
written=$(find "$root/features/lowlevel" -name '*.parquet' | wc -l)
[ "$written" -lt 12 ] || show "the run was over before the worker was killed"
scancel --signal=KILL --full "${workers}_0"
echo "killed a worker when $written of 12 shards were written"
status=0
wait "$driver" || status=$?
[ "$status" -eq 3 ] || show "the driver ended with status $status, not 3"
tail -n 12 "$root/jobs/driver.log"

step "what was written"
"$MARQUEE_PYTHON" -m extract verify "$root/features"
PYTHONPATH=$repository "$MARQUEE_PYTHON" docker/same_rows.py "$root/reference" "$root/features" "${takes[@]}"
[ ! -e "$file" ] || fail "$file is still there"

step "passed"
