#!/usr/bin/env bash
# What only a GPU can tell, in less than ten minutes on one of 80 GB:
#
#     tests/on_gpu.sh [FOLDER]         # the logs go there; default build/gpu
#
# builds the library for this GPU, runs the tests on it (a few examples of each), then under
# compute-sanitizer's four tools, then the figures beside PyTorch's. PYTHON: one that has what
# requirements.txt lists and torch. The last lines say what passed.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/gpu}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
export CHAT_DEVICE=cuda CHAT_EXAMPLES=${CHAT_EXAMPLES:-12}
kernels=(tests/test_{kernels,linear,attention,sample,device}.py)
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv | tee "$out/gpu.txt"

step() {
  local name=$1 began=$SECONDS
  shift
  timeout 420 "$@" >"$out/$name.log" 2>&1
  echo "$name: exit $? after $((SECONDS - began)) s: $(tail -1 "$out/$name.log" | cut -c1-90)" |
    tee -a "$out/summary.txt"
}

sanitize() {
  CHAT_EXAMPLES=2 step "$1" compute-sanitizer --tool "$1" --error-exitcode 9 \
    "$python" -m pytest -q -x "${kernels[@]}" -k "cuda-bf16 and not 50257"
}

: >"$out/summary.txt"
step build make cuda
step tests "$python" -m pytest -q "${kernels[@]}" tests/test_model.py tests/test_decoding.py
for tool in memcheck racecheck initcheck synccheck; do sanitize $tool & done
wait
step bench "$python" tests/bench.py --device cuda
cat "$out/summary.txt"
