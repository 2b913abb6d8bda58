#!/bin/sh
# One prepared check for a machine with a GPU, at most eight minutes: `sh tools/gpu_check.sh OUT`, after `make setup` (or PYTHON=...).
# It runs the tests that need a GPU, a short training of lift64_varied on its stream of virtual patients, the benchmark, and one step of
# recipes at full size, and writes OUT/gpu_check.json. A part that fails or takes too long is noted there, and the next one is tried. Exit
# code 1 if any part failed. Without a GPU this tries the script itself on the CPU: `XRAY2CT_CHECK_DRY_RUN=1 sh tools/gpu_check.sh OUT`.
set -u
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-gpu_check}" && cd "${1:-gpu_check}" && pwd)
python=${PYTHON:-.venv/bin/python}
cores=$(nproc)
work=$out/work-$(date +%Y%m%dT%H%M%S)
mkdir "$work"
device=cuda steps=200 patience=1 tests=tests/test_gpu.py
sizes=lift64,lift128,lift256,direct64,enhanced64,unet64,direct128,refine_v2_it6,direct256_v1_long,direct256_v2_long
if [ "${XRAY2CT_CHECK_DRY_RUN:-}" ]; then
    device=cpu steps=2 patience=10 sizes=smoke tests=tests/test_gpu.py::test_nccl_with_one_rank
    export XRAY2CT_GPU_TESTS=cpu
fi
export XRAY2CT_CHECK_OUT="$out" XRAY2CT_CHECK_WORK="$work"

part() {  # NAME SECONDS COMMAND...; WORK/NAME.out gets its output, WORK/NAME.err its messages
    name=$1 limit=$(($2 * patience))
    shift 2
    begun=$(date +%s)
    timeout -k 10 "$limit" "$@" >"$work/$name.out" 2>"$work/$name.err"
    code=$?
    printf '%s %s %s\n' "$name" "$code" "$(($(date +%s) - begun))" >>"$work/parts"
    echo "$name: exit code $code after $(($(date +%s) - begun)) s"
}

part tests 160 "$python" -m pytest "$tests" -q -rA --durations=10
part cohort 40 "$python" -m xray2ct.data.cohort 0:16 "$out/cohort" --workers "$cores"
part stream 100 "$python" -m xray2ct.train lift64_varied --data "$out/cohort" --runs "$work/runs" --results "$work/results" --device "$device" \
    data.split=hash train.steps="$steps" train.workers=$((cores > 4 ? cores - 2 : 1)) train.eval_every=100 train.tensorboard=false
part benchmark 85 "$python" -m xray2ct.benchmark lift64 --data "$out/cohort" --steps 20 --seconds 2 --out "$work/bench" --device "$device" --json
part sizes 85 "$python" -m xray2ct.benchmark --full "$sizes" --seconds 1 --device "$device"

"$python" - <<'PY'
import json, os, re, sys
from pathlib import Path
import torch
from xray2ct.core import machine, read_json
from xray2ct.records import code_version, read_records

out, work = Path(os.environ['XRAY2CT_CHECK_OUT']), Path(os.environ['XRAY2CT_CHECK_WORK'])


def text_of(name):
    return (work / name).read_text(errors='replace')


parts = {}
for line in text_of('parts').splitlines():
    name, code, seconds = line.split()
    tails = dict(output=text_of(f'{name}.out')[-3000:], messages=text_of(f'{name}.err')[-3000:])
    parts[name] = dict(exit_code=int(code), seconds=int(seconds)) | tails
text = text_of('tests.out')
passed = re.findall(r'^PASSED \S*?::(\S+)', text, re.M)
failed = re.findall(r'^(?:FAILED|ERROR) \S*?::(\S+)', text, re.M)
measured = re.findall(r'^.*(?:cosine of the gradients|largest difference|on average|GB at most).*$', text, re.M)
check = dict(machine=machine(), code=code_version(), passed=passed, failed=failed, measured=measured, parts=parts)
if torch.cuda.is_available():
    p = torch.cuda.get_device_properties(0)
    check['gpu'] = dict(name=p.name, memory_gb=p.total_memory / 1e9, capability=[p.major, p.minor])
records = read_records(folder=work / 'results' / 'runs') if (work / 'results' / 'runs').is_dir() else []
keys = ('id', 'status', 'steps', 'precision', 'device', 'samples_per_s', 'wait_fraction', 'train_s', 'wall_s', 'peak_memory_mb')
check['stream'] = [{k: r.get(k) for k in keys} | dict(best=r.get('best'), baseline=r.get('baseline_psnr')) for r in records]
check['benchmark'] = [read_json(f) for f in sorted((work / 'bench').glob('*.json'))]
check['sizes'] = [json.loads(line) for line in text_of('sizes.out').splitlines()]
(out / 'gpu_check.json').write_text(json.dumps(check, indent=1) + '\n')
bad = [k for k, p in parts.items() if p['exit_code']]
print(f'{out / "gpu_check.json"}: {len(passed)} tests passed, {len(failed)} failed; parts that failed: {", ".join(bad) or "none"}')
sys.exit(bool(bad))
PY
