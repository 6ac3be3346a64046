#!/usr/bin/env bash
# Runs the tests that need an NVIDIA GPU, and measures the throughput of a model of the shape of Llama 3 8B with random
# weights. Usage, in a checkout: plugins/torch/cuda.sh PROGRAMS WORK [OPTIONS OF bench/torch/throughput.py]. PROGRAMS is
# the output of `./just cuda-programs`, from this machine or another: this machine needs only the driver and Python with
# torch 2.11 for CUDA (`pip install torch==2.11.0 safetensors numpy transformers`). WORK keeps the 16 GB of weights. If
# WORK/models has models of examples/torch/models.py, they are also compared with the losses of transformers.
set -euo pipefail
programs="$(cd "$1" && pwd)"
mkdir -p "$2"
work="$(cd "$2" && pwd)"
shift 2
torch="$(python3 -c 'import os, torch; assert torch.cuda.is_available(), "torch finds no GPU"; print(os.path.dirname(torch.__file__))')"
export LIBTORCH_LIBRARY_PATH="$torch/lib"
libraries="$torch/lib"
for directory in "$(dirname "$torch")"/nvidia/*/lib; do
  [ -d "$directory" ] && libraries="$libraries:$directory"
done
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
failed=0
for package in tensor decoder backend; do
  echo "== tests of plugins/torch/$package"
  (cd "$(dirname "$0")/$package" && "$programs/$package.test" -test.run '^TestCUDA' -test.v) || failed=1
done
if [ -d "$work/models" ]; then
  echo "== real models"
  (cd "$(dirname "$0")/backend" && SURPRISAL_MODELS="$work/models" SURPRISAL_DOCUMENTS="$programs/documents.jsonl" \
    "$programs/backend.test" -test.run '^TestRealModelsCUDA$' -test.v) || failed=1
fi
echo "== throughput"
python3 "$(dirname "$0")/../../bench/torch/throughput.py" --work "$work" --runner "$programs/runner" "$@" || failed=1
exit $failed
