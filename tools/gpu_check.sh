#!/bin/sh
# One prepared check for a machine with a GPU, at most eight minutes: `sh tools/gpu_check.sh OUT`, after `make setup` (or PYTHON=...).
# It runs the tests that need a GPU, the benchmark, and a short training of lift64_varied on its stream of virtual patients, and writes
# OUT/gpu_check.json. A part that fails or takes too long is noted there, and the next one is tried. Exit code 1 if any part failed.
set -u
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-gpu_check}" && cd "${1:-gpu_check}" && pwd)
python=${PYTHON:-.venv/bin/python}
cores=$(nproc)
export XRAY2CT_CHECK_OUT="$out"
rm -f "$out"/*.part

part() {  # NAME SECONDS COMMAND...
    name=$1 limit=$2
    shift 2
    begun=$(date +%s)
    timeout -k 10 "$limit" "$@" >"$out/$name.txt" 2>&1
    code=$?
    printf '%s %s %s\n' "$name" "$code" "$(($(date +%s) - begun))" >>"$out/parts.part"
    echo "$name: exit code $code after $(($(date +%s) - begun)) s"
}

part tests 190 "$python" -m pytest tests/test_gpu.py -q -rA --durations=10
part cohort 60 "$python" -m xray2ct.data.cohort 0:16 "$out/cohort" --workers "$cores"
part stream 110 "$python" -m xray2ct.train lift64_varied --data "$out/cohort" --runs "$out/runs" --results "$out/results" \
    ${XRAY2CT_CHECK_DEVICE:+--device "$XRAY2CT_CHECK_DEVICE"} data.split=hash train.steps="${XRAY2CT_CHECK_STEPS:-200}" train.workers=$((cores > 4 ? cores - 2 : 1)) \
    train.eval_every=100 train.tensorboard=false
part benchmark 100 "$python" -m xray2ct.benchmark --data "$out/cohort" --steps 20 --seconds 4 --out "$out/bench" --json

"$python" - <<'PY'
import json, os, re, sys
from pathlib import Path
import torch
from xray2ct.core import machine, read_json
from xray2ct.records import code_version, read_records

out = Path(os.environ['XRAY2CT_CHECK_OUT'])
parts = {}
for line in (out / 'parts.part').read_text().splitlines():
    name, code, seconds = line.split()
    text = (out / f'{name}.txt').read_text(errors='replace')
    parts[name] = dict(exit_code=int(code), seconds=int(seconds), tail=text[-3000:])
text = (out / 'tests.txt').read_text(errors='replace')
passed = re.findall(r'^PASSED \S*?::(\S+)', text, re.M)
failed = re.findall(r'^(?:FAILED|ERROR) \S*?::(\S+)', text, re.M)
measured = re.findall(r'^.*(?:cosine of the gradients|largest difference|on average).*$', text, re.M)
check = dict(machine=machine(), code=code_version(), passed=passed, failed=failed, measured=measured, parts=parts)
if torch.cuda.is_available():
    p = torch.cuda.get_device_properties(0)
    check['gpu'] = dict(name=p.name, memory_gb=p.total_memory / 1e9, capability=[p.major, p.minor])
records = read_records(folder=out / 'results' / 'runs') if (out / 'results' / 'runs').is_dir() else []
keys = ('id', 'status', 'steps', 'precision', 'device', 'samples_per_s', 'wait_fraction', 'train_s', 'wall_s', 'peak_memory_mb')
check['stream'] = [{k: r.get(k) for k in keys} | dict(best=r.get('best'), baseline=r.get('baseline_psnr')) for r in records]
check['benchmark'] = [read_json(f) for f in sorted((out / 'bench').glob('*.json'))]
(out / 'gpu_check.json').write_text(json.dumps(check, indent=1) + '\n')
bad = [k for k, p in parts.items() if p['exit_code']]
print(f'{out / "gpu_check.json"}: {len(passed)} tests passed, {len(failed)} failed; parts that failed: {", ".join(bad) or "none"}')
sys.exit(bool(bad))
PY
