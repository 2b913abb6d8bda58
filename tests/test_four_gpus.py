"""The commands of the tutorial for several GPUs, read from its page: each is parsed, and with `XRAY2CT_TEST_FLAGS=slow` each is run, on CPU processes.

A run uses the page's own words. Programs of the same names stand first in PATH. They make the cohorts, the networks and the trainings small, choose
the CPU, and stand in for SLURM.
"""

import json, os, re, shlex, socket, subprocess, sys
from pathlib import Path
import nibabel as nib, numpy as np, pytest
from fastcore.script import anno_parser
from xray2ct.config import with_overrides
from xray2ct.core import read_json
from xray2ct.data import cohort, prepare
from xray2ct.inference import evaluate, predictor, report
from xray2ct.phantom import virtual_patient
from xray2ct.physics.geometry import Grid
from xray2ct.recipes import get_recipe
from xray2ct.records import read_records
from xray2ct.train import check_world, command_parser

ROOT = Path(__file__).resolve().parents[1]
PAGE = json.loads((ROOT / 'nbs/tutorials/four_gpus.ipynb').read_text())
TEXT = '\n'.join(''.join(c['source']) for c in PAGE['cells'] if c['cell_type'] == 'markdown')
BLOCKS = re.findall(r'^```sh\n(.*?)^```', TEXT, re.M | re.S)
FLAGS = set(os.environ.get('XRAY2CT_TEST_FLAGS', '').split())
MODULES = {
    'xray2ct-cohort': cohort,
    'xray2ct-prepare': prepare,
    'xray2ct-report': report,
    'xray2ct-predict': predictor,
    '-m xray2ct.inference.evaluate': evaluate,
}


def commands():
    "Each command of the page as words."
    lines = '\n'.join(BLOCKS).splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [w for w in words if any('xray2ct' in x for x in w) and '=' not in w[0]]


def training_commands():
    "(words of torchrun, words after `-m xray2ct.train`)"
    for words in commands():
        if 'xray2ct.train' in words:
            i = words.index('xray2ct.train')
            yield words[: i - 1], words[i + 1 :]


def test_trainings_parse_and_their_batches_can_be_dealt():
    seen = set()
    for launcher, words in training_commands():
        options = vars(command_parser().parse_intermixed_args(words))
        cfg = with_overrides(get_recipe(options['recipe'], options['scale']), options['overrides'])
        numbers = dict(re.findall(r'--(nnodes|nproc_per_node)=(\d+)', ' '.join(launcher)))
        world = int(numbers.get('nnodes', 1)) * int(numbers.get('nproc_per_node', 1))
        check_world(cfg, world)
        seen.add((cfg.recipe, world))
    assert seen == {(recipe, world) for recipe in ('lift64', 'lift256') for world in (1, 4, 8)}


def test_other_commands_parse():
    seen = set()
    for words in commands():
        text = ' '.join(words)
        name = next((m for m in MODULES if m in text), None)
        if name is None:
            assert 'xray2ct.train' in words, text
            continue
        last = name.split()[-1]
        args = words[words.index(last) + 1 :]
        anno_parser(MODULES[name].main.__wrapped__, prog=last).parse_args(args)
        seen.add(name)
    assert seen == set(MODULES)
    scripts = [b for b in BLOCKS if b.startswith('#!')]
    assert len(scripts) == 2 and all(subprocess.run(['bash', '-n'], input=s, text=True).returncode == 0 for s in scripts)


SMALL_LIFT = 'xray_widths=(8,8) trunk_n=8 widths=(8,16) fine=8 n=16 pixels=32 uncertainty_hidden=4'.split()
LIFT64 = ['data.n=16', 'data.pixels=32', 'data.augmented_copies=1', *[f'model.{w}' for w in SMALL_LIFT]]
LIFT256 = ['data.n=32', 'data.pixels=32', 'train.crop=16', *[f'model.base.{w}' for w in SMALL_LIFT]]
LIFT256 += [f'model.{w}' for w in 'n=32 pixels=32 xray_widths=(4,8) xray=2 width=6 blocks=1 fine=3 tile=16'.split()]
STUB = """
import json, os, subprocess, sys
from glob import glob
name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
small = json.loads(os.environ['SMALL'])
if name == 'scontrol':
    print('127.0.0.1')
elif name == 'srun':
    both = [subprocess.Popen(words) for _ in range(2)]
    sys.exit(max(p.wait() for p in both))
elif name in ('python', 'torchrun'):
    run = ['-m', 'torch.distributed.run'] if name == 'torchrun' else []
    for recipe in ('lift64', 'lift256'):
        if recipe in words:
            words += [*small[recipe], 'train.steps=3', 'train.eval_every=3', 'train.tensorboard=false', 'train.precision=fp32']
    if 'lift256' in words:
        words += ['base_model=' + glob(os.environ['BASE'])[0]]
    sys.exit(subprocess.run([sys.executable, *run, *words, '--device', 'cpu']).returncode)
else:
    from importlib import import_module
    from xray2ct.data import cohort
    cohort.SCALES['full'] = (32, 32)
    cohort.COHORTS.update(virtual100=dict(train=range(6), validation=range(6, 8)), virtual_test=dict(test=range(100, 102)))
    words = [dict(zip(('256', '512', '16'), ('32', '32', '1'))).get(w, w) for w in words]
    sys.argv = [name, *words]
    kind = name.split('-')[1]
    chapter = 'data' if kind in ('cohort', 'prepare') else 'inference'
    import_module(f'xray2ct.{chapter}.' + dict(predict='predictor').get(kind, kind)).main()
"""


@pytest.fixture(scope='module')
def shell(tmp_path_factory):
    "Runs a block of the page in a folder, after the programs of this test."
    bin = tmp_path_factory.mktemp('bin')
    names = 'python torchrun srun scontrol xray2ct-cohort xray2ct-prepare xray2ct-report xray2ct-predict'.split()
    for name in names:
        (bin / name).write_text(f'#!{sys.executable}{STUB}')
        (bin / name).chmod(0o755)
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = str(s.getsockname()[1])

    def run(block, where, copies=1, **env):
        block = block.replace('HOST', '127.0.0.1').replace('29400', port)
        env = {k: v for k, v in os.environ.items() if k not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'IN_TEST')} | env
        env |= dict(PATH=f'{bin}:{env["PATH"]}', OMP_NUM_THREADS='1', BASE=str(where.parent / '1/runs/lift64-full-s0-*'))
        env |= dict(SMALL=json.dumps(dict(lift64=LIFT64, lift256=LIFT256)))
        started = [
            subprocess.Popen(['bash', '-e', '-c', block], cwd=where, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(copies)
        ]
        texts = [p.communicate(timeout=900)[0] for p in started]
        assert all(p.returncode == 0 for p in started), texts[0][-3000:]
        return ''.join(texts)

    return run


def block_with(*words):
    "The one block of the page that has all these words."
    (block,) = [b for b in BLOCKS if all(w in b for w in words)]
    return block


@pytest.mark.skipif('slow' not in FLAGS, reason='takes minutes: XRAY2CT_TEST_FLAGS=slow')
def test_the_page_followed_literally(shell, tmp_path):
    hu = virtual_patient(3, 32)[0].transpose(2, 1, 0)
    (tmp_path / 'scans').mkdir()
    nib.save(nib.Nifti1Image(np.rint(hu).astype(np.int16), Grid(32).affine), tmp_path / 'scans/anna.nii.gz')
    shell(block_with('xray2ct-cohort', 'xray2ct-prepare'), tmp_path)
    assert {p.name for p in (tmp_path / 'data').iterdir()} == {'virtual100_full', 'virtual_test_full', 'mine'}
    for number in ('1', '8'):  # the array's jobs find what is there
        shell(block_with('--array'), tmp_path, SLURM_ARRAY_TASK_ID=number)
    folders = {name: tmp_path / name for name in ('1', '4', '8', 'slurm')}
    for folder in folders.values():
        folder.mkdir()
        (folder / 'data').symlink_to(tmp_path / 'data')
    for recipe in ('lift64', 'lift256'):
        train = [b for b in BLOCKS if f'xray2ct.train {recipe} ' in b and not b.startswith('#!')]
        for (world, folder), block in zip(folders.items(), train, strict=False):
            text = shell(block, folder, 2 if world == '8' else 1)
            assert text.count('done:') == 1, text[-2000:]
    shell(block_with('srun'), folders['slurm'], SLURM_JOB_ID='7', SLURM_JOB_NODELIST='a')
    for name, folder in folders.items():
        records = read_records(folder=folder / 'results/runs')
        assert [(r['status'], r['processes']) for r in records] == [('finished', 8 if name == 'slurm' else int(name))] * len(records)
        assert {r['recipe'] for r in records} == ({'lift64'} if name == 'slurm' else {'lift64', 'lift256'})
    for recipe in ('lift64', 'lift256'):
        shell(block_with('xray2ct-predict').replace('lift64', recipe), folders['4'])
        (run,) = (folders['4'] / 'runs').glob(f'{recipe}-full-s0-*')
        assert read_json(run / 'scores.json')['n'] == 2 and (run / 'report.html').exists()
        assert nib.load(folders['4'] / 'v00100.nii.gz').shape == ((16,) * 3 if recipe == 'lift64' else (32,) * 3)
