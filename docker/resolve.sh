#!/bin/sh
# Resolves what both images install, with docker/install.sh's own commands; downloads and installs nothing.
# PYTHON names an interpreter. Status 0 where no package index answers: then nothing can be said.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/uv"
if ! "$work/uv/bin/python" -m pip install --quiet --disable-pip-version-check uv > /dev/null 2>&1; then
  echo "no package index answers: what the images install was not resolved" >&2
  exit 0
fi
PATH=$work/uv/bin:$PATH
export PATH VIRTUAL_ENV="$work/environment" DRY_RUN=1
uv venv --quiet "$VIRTUAL_ENV"

resolve() { # NAME BACKEND EXTRAS
  rm -rf "$work/source"
  mkdir "$work/source"
  cp pyproject.toml constraints.txt docker/install.sh "$work/source"
  (cd "$work/source" && TORCH_BACKEND=$2 TORCH_VERSION='' EXTRAS=$3 sh install.sh) > "$work/log" 2>&1
}

# The index of torch's CPU builds is another one, which not every network reaches.
backend=cpu
if ! resolve CPU "$backend" all && grep -q -i "error sending request" "$work/log"; then
  echo "the index of torch's CPU builds does not answer: resolved with the package index's torch" >&2
  backend=index
fi
for image in "CPU $backend all" "GPU index all,gpus"; do
  # shellcheck disable=SC2086  # words on purpose
  resolve $image || { cat "$work/log" >&2; echo "the ${image%% *} image does not resolve" >&2; exit 1; }
  echo "the ${image%% *} image resolves: $(grep -c '^ + ' "$work/log") packages"
done
