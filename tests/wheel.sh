#!/usr/bin/env bash
# Installs the wheel as a user would, into an empty environment of each Python given, and extracts with it:
# tests/wheel.sh python3.11 python3.12 ... A Python that is not there is said and left out.
# TORCH=cpu takes torch's CPU build, by uv.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git -C "$root" archive HEAD | tar -x -C "$work" --one-top-level=source
builder=
tried=0
for python in "$@"; do
  if ! "$python" -c "import venv" 2> /dev/null; then
    echo "$python: not here"
    continue
  fi
  env=$work/environment
  "$python" -m venv "$env"
  if [ -z "$builder" ]; then
    builder=$env/bin/python
    "$builder" -m pip wheel --quiet --no-deps --wheel-dir "$work" "$work/source"
  fi
  if [ "${TORCH:-index}" = index ]; then
    "$env/bin/python" -m pip install --quiet "$work"/*.whl
  else
    "$env/bin/python" -m pip install --quiet uv
    "$env/bin/python" -m uv pip install --quiet --python "$env/bin/python" --torch-backend "$TORCH" "$work"/*.whl
  fi
  [ -d "$work/demo" ] || (cd "$work/source" && "$env/bin/python" -m bench.demo_trailers "$work/demo")
  (
    cd "$work/demo" # outside the checkout, so that only what is in the wheel is found
    "$env/bin/marquee" --version
    "$env/bin/marquee" extract videos --preset offline || test $? -eq 3 # one file is no video
    "$env/bin/marquee" status features
    "$env/bin/python" -c '
import pipeline
read = set(pipeline.read("features", "ocr")["video_id"].to_pylist())
assert len(read) == 3, f"titles of {sorted(read)}, which are not three trailers"'
  )
  rm -rf "$env" "$work/demo/features"
  tried=$((tried + 1))
done
[ "$tried" -gt 0 ] || { echo "none of $* is here" >&2; exit 1; }
