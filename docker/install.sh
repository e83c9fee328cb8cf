#!/bin/sh
# Installs what Marquee depends on; the arguments of the Dockerfile say from where and how much.
set -eu

# scenedetect and rapidocr bring an OpenCV each: only the one of constraints.txt goes in.
printf '%s\n' opencv-python opencv-python-headless opencv-contrib-python > left-out.txt
opencv=$(grep '^opencv-' constraints.txt)

if [ -n "$TORCH_VERSION" ]; then
  sed -i "s/^torch==.*/torch==$TORCH_VERSION/" constraints.txt
fi

backend=
[ "$TORCH_BACKEND" = index ] || backend="--torch-backend $TORCH_BACKEND"
# Triton compiles for GPUs: a gigabyte that a CPU has no use for.
case "$TORCH_BACKEND $TORCH_VERSION" in cpu*|*+cpu) echo triton >> left-out.txt ;; esac

extras=
for extra in $(echo "$EXTRAS" | tr ',' ' '); do extras="$extras --extra $extra"; done

# An empty variable is not an unset one to uv.
for name in UV_DEFAULT_INDEX UV_INDEX UV_FIND_LINKS; do
  eval "[ -n \"\${$name:-}\" ]" || unset "$name"
done

# shellcheck disable=SC2086  # words on purpose
if ! uv pip install ${DRY_RUN:+--dry-run} --requirements pyproject.toml $extras "$opencv" \
  --constraints constraints.txt --excludes left-out.txt $backend; then
  echo "The packages could not be installed. If it is the index of torch's $TORCH_BACKEND builds that cannot be" >&2
  echo "reached, build with TORCH_BACKEND=index: torch from the package index. docs/docker.md says more." >&2
  exit 1
fi

[ -z "${DRY_RUN:-}" ] || exit 0  # docker/resolve.sh

# Tests and C++ headers are for those who build these packages. What is left is compiled, because whoever
# runs in the container cannot write here.
cd "$VIRTUAL_ENV"/lib/python3.*/site-packages
find . -path ./torch -prune -o -type d -name tests -prune -exec rm -rf {} +
rm -rf torch/include torch/test
find torch/bin -type f ! -name torch_shm_manager -delete
python -m compileall -q -j 0 . > /dev/null || true  # templates that are no Python do not compile
