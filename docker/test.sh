#!/usr/bin/env bash
# Builds the image and uses it as people do: one command on a folder, then a cluster that loses a worker.
# Needs a running Docker engine with Compose; `make docker-test` calls it. Build arguments come from the
# environment, as for compose.yaml: TORCH_BACKEND=index make docker-test. GPU_IMAGE=1 builds and tries that of
# docker/compose.gpu.yaml too, without a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "docker-test: $*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }

docker info > /dev/null 2>&1 || fail "no Docker engine answers: start it, and check that \`docker info\` works for $(id -un)"
if docker compose version > /dev/null 2>&1; then compose() { docker compose "$@"; }
elif command -v docker-compose > /dev/null; then compose() { docker-compose "$@"; }
else fail "Docker Compose is not installed"
fi

# A project of its own, so that a cluster that is up and its volume are left alone.
export COMPOSE_PROJECT_NAME=marquee-test COMPOSE_FILE=$PWD/compose.yaml MARQUEE_DASHBOARD_PORT=0 MARQUEE_SCHEDULER=
work=build/docker-test
extract=(run --rm -T extract)
cheap=(--experts "lowlevel,spectrogram" --detector content)  # seconds for each trailer

tidy() { compose --profile run down --volumes --timeout 10 > /dev/null 2>&1 || true; }
trap tidy EXIT
tidy
rm -rf "$work"
mkdir -p "$work"

# 3: finished with failures recorded. One file of the demo is no video.
run_with_a_failure() {
  local status=0
  compose "${extract[@]}" "$@" || status=$?
  [ "$status" -eq 3 ] || fail "extract ended with status $status, not 3"
}
all_belong_to() {
  local foreign
  foreign=$(find "$2" ! -user "$1" -print -quit)
  [ -z "$foreign" ] || fail "$foreign does not belong to user $1"
}
in_image() { compose run --rm -T -e PYTHONPATH="$PWD" --entrypoint "as-caller python $*" extract; }

step "build"
compose build extract
docker image inspect marquee:cpu --format 'marquee:cpu has {{.Size}} bytes'

if [ -n "${GPU_IMAGE:-}" ]; then
  step "the GPU image compiles what Triton's kernels need"
  compose -f compose.yaml -f docker/compose.gpu.yaml build extract
  docker run --rm --volume "$PWD/docker:/docker:ro" marquee:gpu python /docker/kernel_helper.py
fi

step "three trailers and a file that is no video"
in_image -m bench.demo_trailers "$work/demo"

step "docker compose run extract --videos DIR"
run_with_a_failure --videos "$work/demo/videos" --out "$work/features" --preset offline
compose "${extract[@]}" verify "$work/features"
all_belong_to "$(stat -c %u .)" "$work"

if [ "$(id -u)" -eq 0 ]; then
  step "the same in a folder that is not root's"
  cp -r "$work/demo/videos" "$work/videos-of-1234"
  chown -R 1234:1234 "$work/videos-of-1234"
  (cd "$work/videos-of-1234" && run_with_a_failure --videos . --out features "${cheap[@]}")
  all_belong_to 1234 "$work/videos-of-1234"
fi

step "a folder that is not mounted"
if message=$(compose "${extract[@]}" --videos /nowhere/videos 2>&1); then fail "it was accepted"; fi
grep 'MARQUEE_DATA=/nowhere/videos docker compose run extract' <<< "$message" || fail "no help: $message"

step "the same videos for the cluster to come: what one container finds"
run_with_a_failure --videos "$work/demo/videos" --out "$work/reference" "${cheap[@]}" --workers 0

step "docker compose up --scale worker=3"
takes=()
for take in $(seq 6); do
  takes+=("take-$take")
  mkdir -p "$work/takes"
  cp -r "$work/demo/videos" "$work/takes/take-$take"
done
compose up --detach --scale worker=3
compose exec -T scheduler as-caller python -c '
import os
from pathlib import Path
from distributed import Client
from pipeline.work.certificates import read_certificates
certificates = read_certificates(Path(os.environ["XDG_CACHE_HOME"]) / "cluster")
Client("tls://127.0.0.1:8786", timeout=60, security=certificates).wait_for_workers(3, timeout=120)'
if compose run --rm -T -e DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT=3s --entrypoint python extract -c \
  'from distributed import Client; Client("tcp://scheduler:8786", timeout=3)' 2> /dev/null; then
  fail "the scheduler speaks to who has no certificate"
fi
mapfile -t workers < <(compose ps -q worker)
[ "${#workers[@]}" -eq 3 ] || fail "${#workers[@]} workers, not 3"

step "docker compose run extract --videos DIR, on the cluster; one worker is killed"
run_with_a_failure --videos "$work/takes" --out "$work/scaled" --shard-size 2 "${cheap[@]}" &
run=$!
until ls "$work"/scaled/lowlevel/*.parquet > /dev/null 2>&1; do
  kill -0 "$run" 2> /dev/null || fail "the run ended before its first shard"
  sleep 0.2
done
docker kill "${workers[0]}" > /dev/null
written=$(find "$work/scaled/lowlevel" -name '*.parquet' | wc -l)
[ "$written" -lt 12 ] || fail "the run was over before the worker was killed"
echo "killed a worker when $written of 12 shards were written"
wait "$run"

compose "${extract[@]}" verify "$work/scaled"
in_image docker/same_rows.py "$work/reference" "$work/scaled" "${takes[@]}"

step "passed"
rm -rf "$work"
