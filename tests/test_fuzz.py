"""Every command survives mutations of valid inputs: tests/fuzz.py says which mutations, and what survival means.

XRAY2CT_FUZZ_SEED and XRAY2CT_FUZZ_COUNT choose other mutations and their number per command. The default is 30, and 300 where slow tests are
asked for (XRAY2CT_TEST_FLAGS=slow).
"""

import json, os, re, subprocess, sys
from pathlib import Path
import pytest

HERE = Path(__file__).parent
TOOLS = ('prepare', 'doctor', 'predict', 'evaluate', 'report', 'export', 'cohort', 'train')
SEED = os.environ.get('XRAY2CT_FUZZ_SEED', '0')
IS_SLOW = 'slow' in os.environ.get('XRAY2CT_TEST_FLAGS', '').split()
COUNT = os.environ.get('XRAY2CT_FUZZ_COUNT', '300' if IS_SLOW else '30')


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    "The result of all commands, from one process of its own: its children must inherit no threads."
    result = tmp_path_factory.mktemp('fuzz') / 'result.json'
    words = [HERE / 'fuzz.py', '--seed', SEED, '--count', COUNT, '--json', result]
    environment = os.environ | dict(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    environment.pop('IN_TEST', None)
    process = subprocess.run([sys.executable, *map(str, words)], env=environment, capture_output=True, text=True)
    print(process.stdout, process.stderr)
    return json.loads(result.read_text())


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='each case runs in a forked child')
@pytest.mark.parametrize('tool', TOOLS)
def test_mutations(tool, found):
    "No mutation ends a command in an unforeseen way, and neither all nor none of them are refused."
    failed = [f'case {case["number"]}: {"; ".join(case["faults"])}\n$ {case["words"]}' for case in found[tool]['failed']]
    assert not failed, f'{len(failed)} of {COUNT} failed\n' + '\n'.join(failed)
    assert len(found[tool]['codes']) > 1, found[tool]


def test_every_console_script_is_fuzzed():
    "The commands of settings.ini are among the tools."
    scripts = set(re.findall(r'xray2ct-(\w+)=xray2ct\.', (HERE.parent / 'settings.ini').read_text()))
    assert len(scripts) >= 6 and scripts <= set(TOOLS), scripts
