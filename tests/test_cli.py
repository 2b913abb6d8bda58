"""The command line as users meet it: every command has a help with an example, and every bad input gets one sentence that names the file, exit code 2,
and no file that was not there before.

Most cases run in this process (importing torch takes two seconds a process); a case of each command runs as a real one.
"""

import configparser, contextlib, importlib, io, json, os, re, shlex, subprocess, sys, tempfile
from pathlib import Path
import nibabel as nib, numpy as np, pytest, torch
from fastcore.script import anno_parser
from PIL import Image
from xray2ct.training.checkpoints import save_weights
from xray2ct.core import write_json
from xray2ct.data.dataset import toy_dataset
from xray2ct.evaluation.baselines import fit_baselines
from xray2ct.physics.geometry import Geometry, Grid
from xray2ct.physics.geometry_file import geometry_to_dict
from xray2ct.models import build_model
from xray2ct.recipes import get_recipe, list_recipes
from xray2ct.train import command_parser
from xray2ct.io.volume import hu_to_unit, write_nifti

ROOT = Path(__file__).resolve().parents[1]
cp = configparser.ConfigParser()
cp.read(ROOT / 'settings.ini')
SCRIPTS = dict(
    l.strip().split('=') for l in cp['DEFAULT']['console_scripts'].splitlines() if l.strip()
)
MODULES = {f'python -m xray2ct.{m}': f'xray2ct.{m}:main' for m in ('train', 'quickstart', 'benchmark')}
COMMANDS = SCRIPTS | MODULES
ENV = {
    k: v for k, v in os.environ.items() if k not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'IN_TEST')
} | dict(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')


def entry(name):
    "The function behind a command."
    mod, fn = COMMANDS[name].split(':')
    return getattr(importlib.import_module(mod), fn)


def parsed(name, args):
    "What the command's own parser makes of these words."
    return vars(parser_of(name).parse_intermixed_args([str(a) for a in args]))


def parser_of(name):
    "The parser of a command."
    if name.endswith('.train'):
        return command_parser()
    return anno_parser(entry(name).__wrapped__, prog=name)


class Said:
    "How a command ended and what it said."

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code or 0, out, err
        lines = [
            re.sub(r'.*%\|.*\](\x1b\[A)*', '', l.rsplit('\r', 1)[-1]).strip()
            for l in err.splitlines()
        ]  # without progress bars
        self.lines = [
            l for l in lines if l and not l.startswith(('warning: ', 'note: ', 'weights: '))
        ]

    def __repr__(self):
        return f'exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}'


def run(name, *args, env={}):
    "Run a command in this process, through its real parser."
    fn, out, err, old, code = entry(name), io.StringIO(), io.StringIO(), dict(os.environ), 0
    os.environ.update(env)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            fn(**{k: v for k, v in parsed(name, args).items() if k not in ('pdb', 'xtra')})
        except SystemExit as e:
            code = e.code
        finally:
            os.environ.clear()
            os.environ.update(old)
    return Said(code, out.getvalue(), err.getvalue())


def process(name, *args):
    "Run a command as a process of its own; a console script through the file that pip would write for the entry point in settings.ini."
    mod, fn = COMMANDS[name].split(':')
    with tempfile.TemporaryDirectory() as d:
        (script := Path(d) / name.split()[-1]).write_text(
            f"import sys\nfrom {mod} import {fn}\nif __name__ == '__main__': sys.exit({fn}())\n"
        )
        p = subprocess.run(
            [sys.executable, *([script] if name in SCRIPTS else ['-m', mod]), *map(str, args)],
            capture_output=True,
            text=True,
            env=ENV,
            timeout=120,
        )
    return Said(p.returncode, p.stdout, p.stderr)


def listing(root):
    "Every file under a folder with its size; caches and the cohort's own label do not count."
    return {
        p.relative_to(root).as_posix(): p.stat().st_size
        for p in sorted(root.rglob('*'))
        if p.is_file() and '.xray2ct_cache' not in p.parts and p.name != 'cohort.json'
    }


def refused(said, *words):
    "One line on stderr, exit code 2, nothing on stdout but notes, and all the words in the line."
    assert (
        said.code == 2
        and len(said.lines) == 1
        and said.lines[0].startswith('error: ')
        and 'Traceback' not in said.err
    ), said
    for w in words:
        assert str(w) in said.lines[0], (w, said)


# ---- help -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', COMMANDS)
def test_help_has_an_example_that_parses(name):
    parser = parser_of(name)
    text = ' '.join(parser.format_help().split())
    about = f'{parser.description} {parser.epilog or ""}'
    assert 'Example: ' in text and len(about.split('Example: ')[0]) > 30
    words = shlex.split(about.split('Example: ')[1])
    tool = f'-m {COMMANDS[name].split(":")[0]}' if name in MODULES else name
    assert tool in ' '.join(words)
    args = words[words.index(tool.split()[-1]) + 1 :]
    parsed(name, args)  # SystemExit if the example is not accepted
    for action in parser._actions:
        name_shown = action.metavar or action.dest
        assert action.help == '==SUPPRESS==' or name_shown in text or action.dest.replace('_', '-') in text


@pytest.mark.parametrize('name', ['xray2ct-predict', 'python -m xray2ct.train'])
def test_help_of_a_real_process(name):
    said = process(name, '--help')
    assert said.code == 0 and 'Example: ' in said.out and said.err == '', said


def test_a_word_that_is_no_option():
    said = process('xray2ct-report', 'runs/x', '--no-such-option')
    assert said.code == 2 and 'no-such-option' in said.err and 'Traceback' not in said.err, said


def check_screen(text):
    "The list of recipes fits on one screen and holds every recipe."
    lines = text.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 100, text
    assert set(list_recipes()) <= set(text.split()) and 'Traceback' not in text, text


def test_train_without_a_recipe_lists_them():
    said = process('python -m xray2ct.train')
    assert (said.code, said.out) == (2, ''), said
    check_screen(said.err)
    refused(process('python -m xray2ct.train', 'smoke', '--sede', 3), '--sede', '--help')


def torchrun(tmp, *args):
    "Two real processes; a folder of metadata stands for the installed package, because the tests also run from the source alone."
    info = tmp / 'xray2ct-0.dist-info'
    info.mkdir(exist_ok=True)
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: xray2ct\nVersion: 0\n')
    entry_point = cp['DEFAULT']['torchrun_handlers']
    (info / 'entry_points.txt').write_text(f'[torchrun.handlers]\n{entry_point}\n')
    launch = 'torch.distributed.run --standalone --nproc_per_node=2 -m xray2ct.train'
    p = subprocess.run(
        [sys.executable, '-m', *launch.split(), *map(str, args)],
        capture_output=True,
        text=True,
        env=ENV | dict(PYTHONPATH=os.pathsep.join([str(tmp), str(ROOT)])),
        cwd=tmp,
        timeout=300,
    )
    return Said(p.returncode, p.stdout, p.stderr)


@pytest.mark.parametrize(
    'words, message',
    [
        ('smok', "error: there is no recipe 'smok'. Did you mean 'smoke'?"),
        ('smoke train.stepz=3', 'train.steps'),
        ('smoke --sede 3', 'unrecognized arguments: --sede'),
        ('smoke --data nowhere', 'error: nowhere: no such folder.'),
    ],
)
def test_a_mistake_under_torchrun_is_one_line_and_exit_code_2(words, message, tmp_path):
    said = torchrun(tmp_path, *words.split())
    refused(said, message)
    assert said.err.count('\n') == 1, said


def test_torchrun_without_a_recipe_prints_the_screen_once(tmp_path):
    said = torchrun(tmp_path)
    assert (said.code, said.out) == (2, ''), said
    check_screen(said.err)
    said = torchrun(tmp_path, '--help')
    assert (said.code, said.err, said.out.count('usage:')) == (0, '', 1), said


# ---- things to break --------------------------------------------------------------------------------------------------------------------------


def write_cohort(root, ds, split=None):
    "A data set as patient folders."
    for i, pid in enumerate(ds.ids):
        f = root / pid
        f.mkdir(parents=True)
        write_nifti(ds[i]['volume'][0], Grid(ds.cfg.n), f / f'{pid}.nii.gz')
        for v, x in zip(ds.cfg.views, ds[i]['xrays'][:, 0].numpy()):
            np.save(f / f'{pid}_{v}.npy', x)
            Image.fromarray(np.round(255 * (x - x.min()) / np.ptp(x)).astype(np.uint8)).save(
                f / f'{pid}_{v}_drr.png'
            )
        write_json(geometry_to_dict(Geometry(pixels=ds.cfg.pixels)), f / 'geometry.json')
    if split:
        write_json(split, root / 'split.json')
    return root


LEARNT, NEW = toy_dataset(12, n=16, pixels=32, seed=1), toy_dataset(4, n=16, pixels=32, seed=2)


@pytest.fixture(scope='session')
def run_dir(tmp_path_factory):
    "A run as training leaves it: a network that predicts its mean volume, and baselines."
    run, cfg = tmp_path_factory.mktemp('runs') / 'smoke', get_recipe('smoke')
    fl = fit_baselines(LEARNT)
    torch.manual_seed(0)
    m = build_model(cfg.model)
    m.set_mean_volume(hu_to_unit(fl.mean_volume, cfg.target)[None, None])
    save_weights(m, cfg, run / 'model.safetensors', dict(training_ids=LEARNT.ids))
    fl.save(run / 'baselines.safetensors')
    return run


@pytest.fixture
def cohort(tmp_path):
    "Four patients with a split."
    ids = NEW.ids
    return write_cohort(
        tmp_path / 'cohort', NEW, dict(train=ids[:2], validation=ids[2:3], test=ids[3:])
    )


def nifti(path, a, affine=np.diag([22.5, 22.5, 22.5, 1.0])):
    "A NIfTI of any array."
    im = nib.Nifti1Image(np.asarray(a, dtype=np.float32), None)
    im.header.set_sform(affine, 1)
    im.header.set_xyzt_units('mm')  # in this way nibabel writes a degenerate one too
    nib.save(im, path)
    return path


CT = NEW[0]['volume'][0].numpy().transpose(2, 1, 0)


def cut(path, n=60):
    "Lose the last bytes of a file."
    path.write_bytes(path.read_bytes()[:-n])
    return path


# ---- predict ----------------------------------------------------------------------------------------------------------------------------------


def pair(cohort, i=3, ext='.npy'):
    "The two X-rays of a patient."
    p = NEW.ids[i]
    return cohort / p / f'{p}_pa{ext}', cohort / p / f'{p}_lat{ext}'


def predict(run_dir, pa, lat, out, *more, how=run):
    "The command."
    return how(
        'xray2ct-predict', '--frontal', pa, '--lateral', lat, '-o', out, '--weights', run_dir, *more
    )


def test_predict_as_a_process(run_dir, cohort, tmp_path):
    said = predict(
        run_dir, *pair(cohort), tmp_path / 'o.nii.gz', '--size', 40, '--json', how=process
    )
    got = json.loads(said.out)
    im = nib.load(tmp_path / 'o.nii.gz')
    assert (
        said.code == 0
        and said.err == ''
        and got['size'] == 40
        and im.shape == (40, 40, 40)
        and im.get_data_dtype() == np.int16
    ), said
    assert np.allclose(im.affine, Grid(40).affine) and not got['warnings']


def test_predict_says_what_it_assumes(run_dir, cohort, tmp_path):
    said = predict(run_dir, *pair(cohort, ext='_drr.png'), tmp_path / 'o.nii.gz')
    assert (
        said.code == 0
        and said.err.count('without calibration') == 2
        and 'not for clinical use' in said.out
    ), said
    pa, lat = pair(cohort)
    assert 'swapped' in predict(run_dir, lat, pa, tmp_path / 'o.nii.gz').err
    (pa.parent / 'geometry.json').unlink()
    assert predict(run_dir, pa, lat, tmp_path / 'o.nii.gz').err.count('no geometry.json') == 2


BAD_FILMS = dict(
    absent=(lambda d: d / 'absent.npy', 'no such file'),
    cut_npy=(lambda d: cut(d / 'x.npy'), 'x.npy'),
    cut_png=(lambda d: cut(d / 'x.png'), 'x.png'),
    nan=(lambda d: np.save(d / 'x.npy', np.full((32, 32), np.nan)) or d / 'x.npy', 'NaN'),
    infinite=(
        lambda d: np.save(d / 'x.npy', np.where(np.eye(32) > 0, np.inf, 1)) or d / 'x.npy',
        'infinite',
    ),
    volume=(lambda d: np.save(d / 'x.npy', np.random.rand(9, 9, 9)) or d / 'x.npy', 'shape'),
    pickle=(
        lambda d: np.save(d / 'x.npy', np.array([{}, None], dtype=object)) or d / 'x.npy',
        'pickle',
    ),
    text=(lambda d: (d / 'x.txt').write_text('x') and d / 'x.txt', 'x.txt'),
    folder=(lambda d: d, 'folder'),
)


@pytest.mark.parametrize('kind', BAD_FILMS)
def test_predict_refuses_an_xray(kind, run_dir, cohort, tmp_path):
    pa, lat = pair(cohort)
    (tmp_path / 'bad').mkdir()
    np.save(tmp_path / 'bad' / 'x.npy', np.load(pa))
    Image.open(pair(cohort, ext='_drr.png')[0]).save(tmp_path / 'bad' / 'x.png')
    make, word = BAD_FILMS[kind]
    bad = make(tmp_path / 'bad')
    before = listing(tmp_path)
    refused(predict(run_dir, bad, lat, tmp_path / 'o.nii.gz'), word, bad.name)
    refused(predict(run_dir, pa, bad, tmp_path / 'o.nii.gz'), word, bad.name)
    assert listing(tmp_path) == before


def test_predict_refuses_the_rest(run_dir, cohort, tmp_path):
    pa, lat = pair(cohort)
    torch.save({}, tmp_path / 'w.pt')
    (tmp_path / 'w.safetensors').write_bytes((run_dir / 'model.safetensors').read_bytes()[:-64])
    (tmp_path / 'g.json').write_text('{"views":')
    write_json(geometry_to_dict(Geometry()) | dict(views=[]), tmp_path / 'g2.json')
    (tmp_path / 'empty').mkdir()
    before = listing(tmp_path)
    out = tmp_path / 'o.nii.gz'
    refused(
        run('xray2ct-predict', '--frontal', pa, '-o', out, '--weights', run_dir), '--lateral'
    )  # missing view
    refused(predict(tmp_path / 'w.safetensors', pa, lat, out), 'w.safetensors')
    refused(predict(tmp_path / 'w.pt', pa, lat, out), 'w.pt', 'pickle')
    refused(predict(tmp_path / 'empty', pa, lat, out), 'empty', 'no weights')
    refused(predict(tmp_path / 'nowhere', pa, lat, out), 'nowhere')
    refused(predict(run_dir, pa, lat, out, '--geometry', tmp_path / 'g.json'), 'g.json')
    refused(predict(run_dir, pa, lat, out, '--geometry', tmp_path / 'g2.json'), 'g2.json')
    refused(predict(run_dir, pa, lat, tmp_path / 'o.jpg'), 'o.jpg', '.nii.gz')
    refused(predict(run_dir, pa, lat, out, '--size', 4000), '--size')
    assert listing(tmp_path) == before
    refused(predict(run_dir, cut(pa), lat, out, how=process), pa.name)
    assert not out.exists()  # and as a process


# ---- prepare ----------------------------------------------------------------------------------------------------------------------------------

SMALL = ('--size', 16, '--pixels', 24)
BAD_CTS = dict(
    cut=(lambda p: cut(nifti(p, CT), 400), 'cut off'),
    nan=(lambda p: nifti(p, np.where(CT > 0, np.nan, CT)), 'NaN'),
    infinite=(lambda p: nifti(p, np.where(CT > 0, np.inf, CT)), 'infinite'),
    flat=(lambda p: nifti(p, CT[:, :, 4]), 'shape'),
    time=(lambda p: nifti(p, np.stack([CT, CT], -1)), '4 dimensions'),
    unit=(lambda p: nifti(p, (CT + 1024) / 4095), 'not Hounsfield'),
    bytes=(lambda p: nifti(p, np.clip((CT + 200) / 400 * 255, 0, 255).round()), 'not Hounsfield'),
    degenerate=(lambda p: nifti(p, CT, np.diag([0.0, 20.0, 20.0, 1.0])), 'degenerate'),
    meters=(lambda p: nifti(p, CT, np.diag([0.0225, 0.0225, 0.0225, 1.0])), 'millimeters'),
    nothing=(lambda p: p.write_bytes(b'') or p, 'bad'),
)


@pytest.mark.parametrize('kind', BAD_CTS)
def test_prepare_refuses_a_ct(kind, tmp_path):
    make, word = BAD_CTS[kind]
    bad = make(tmp_path / 'bad.nii.gz')
    before = listing(tmp_path)
    refused(run('xray2ct-prepare', bad, tmp_path / 'out', *SMALL), word, 'bad.nii.gz')
    assert listing(tmp_path) == before


def test_prepare_as_a_process(tmp_path):
    (tmp_path / 'src').mkdir()
    nifti(tmp_path / 'src' / 'good.nii.gz', CT)
    nifti(tmp_path / 'src' / 'mirror.nii.gz', CT[::-1], np.diag([-22.5, 22.5, 22.5, 1.0]))
    cut(nifti(tmp_path / 'src' / 'bad.nii.gz', CT), 400)
    said = process('xray2ct-prepare', tmp_path / 'src', tmp_path / 'out', *SMALL)
    refused(said, 'bad.nii.gz')  # one bad scan does not keep the others out
    assert (
        '2 made' in said.out
        and 'left-handed' in said.out
        and {p.name for p in (tmp_path / 'out').iterdir() if p.is_dir()} == {'good', 'mirror'}
    ), said
    same = [nib.load(tmp_path / 'out' / n / f'{n}.nii.gz') for n in ('good', 'mirror')]
    assert np.array_equal(*(np.asarray(i.dataobj) for i in same)) and np.allclose(
        *(i.affine for i in same)
    )
    again = run('xray2ct-prepare', tmp_path / 'src' / 'good.nii.gz', tmp_path / 'out', *SMALL)
    assert again.code == 0 and '1 already complete' in again.out


def test_prepare_refuses_what_is_no_ct(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').write_text('x')
    refused(run('xray2ct-prepare', tmp_path / 'empty', tmp_path / 'out'), 'empty')
    refused(run('xray2ct-prepare', tmp_path / 'nowhere', tmp_path / 'out'), 'nowhere')
    refused(run('xray2ct-prepare', tmp_path / 'empty'), 'destination')
    refused(run('xray2ct-prepare', nifti(tmp_path / 'a.nii.gz', CT), tmp_path / 'file'), 'file')
    assert not (tmp_path / 'out').exists()


def test_cohort_refuses(tmp_path):
    refused(run('xray2ct-cohort', 'virtual_tset', tmp_path / 'c'), 'virtual_test')
    refused(run('xray2ct-cohort', '5:5', tmp_path / 'c'), '5:5')
    refused(run('xray2ct-cohort', '0:2', tmp_path / 'c', '--scale', 'midi'), 'midi')
    assert list(tmp_path.iterdir()) == []


# ---- device -----------------------------------------------------------------------------------------------------------------------------------

DEVICES = {'gpu': 'is not known', 'cuda': 'cannot be used', 'cuda:1': 'cannot be used'}


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
@pytest.mark.parametrize('device', DEVICES)
def test_a_device_that_cannot_be_used(device, run_dir, cohort, tmp_path):
    words = ('--device', device)
    before = listing(tmp_path)
    for said in (
        predict(run_dir, *pair(cohort), tmp_path / 'o.nii.gz', *words),
        run('xray2ct-evaluate', run_dir, cohort, *words),
        run('xray2ct-report', run_dir, *words),
        run('python -m xray2ct.train', 'smoke', '--runs', tmp_path / 'runs', *words),
    ):
        refused(said, f'--device {device} {DEVICES[device]}')
    assert listing(tmp_path) == before
    refused(predict(run_dir, *pair(cohort), tmp_path / 'o.nii.gz', *words, how=process), DEVICES[device])


def test_predict_and_evaluate_on_a_chosen_device(run_dir, cohort, tmp_path):
    assert predict(run_dir, *pair(cohort), tmp_path / 'o.nii.gz', '--device', 'cpu').code == 0
    assert run('xray2ct-evaluate', run_dir, cohort, '--device', 'cpu', '--no-controls').code == 0


# ---- evaluate ---------------------------------------------------------------------------------------------------------------------------------


def test_evaluate_as_a_process(run_dir, cohort, tmp_path):
    said = process(
        'xray2ct-evaluate', run_dir, cohort, '--json', tmp_path / 's.json', '--no-controls'
    )
    got = json.loads((tmp_path / 's.json').read_text())
    assert (
        said.code == 0
        and got['n'] == 1
        and {'mean_volume', 'nearest', 'ridge'} <= set(got['baselines'])
    ), said


def test_evaluate_refuses(run_dir, cohort, tmp_path):
    (tmp_path / 'empty').mkdir()
    torch.save({}, tmp_path / 'w.pt')
    (tmp_path / 'w.safetensors').write_bytes((run_dir / 'model.safetensors').read_bytes()[:-64])
    own = write_cohort(tmp_path / 'own', LEARNT.subset(LEARNT.ids[:2]))
    out = tmp_path / 's.json'
    before = listing(tmp_path)
    ev = lambda w, d, *more: run('xray2ct-evaluate', w, d, '--json', out, '--no-controls', *more)
    refused(ev(run_dir, tmp_path / 'empty'), 'empty')
    refused(ev(run_dir, tmp_path / 'nowhere'), 'nowhere')
    refused(ev(tmp_path / 'w.pt', cohort), 'w.pt')
    refused(ev(tmp_path / 'w.safetensors', cohort), 'w.safetensors')
    refused(ev(run_dir, cohort, '--protocol', 'documentd'), "'documented'")
    refused(ev(run_dir, own), LEARNT.ids[0], '--allow-train')
    assert listing(tmp_path) == before


@pytest.mark.parametrize('what', ['ct', 'pa.npy', 'lat', 'geometry', 'evil'])
def test_evaluate_and_train_refuse_a_broken_patient(what, run_dir, cohort, tmp_path):
    f = cohort / (p := NEW.ids[0])
    words = [p]
    if what == 'ct':
        cut(f / f'{p}.nii.gz')
    if what == 'pa.npy':
        cut(f / f'{p}_pa.npy')
    if what == 'lat':
        (f / f'{p}_lat.npy').unlink()
        (f / f'{p}_lat_drr.png').unlink()
        words += ['lateral']  # missing view
    if what == 'geometry':
        (f / 'geometry.json').write_text('{')
        words += ['geometry.json']
    if what == 'evil':
        write_json(dict(train=['../../evil'], validation=[p]), cohort / 'split.json')
        words = ['../../evil', 'split.json']  # path separators
    before = listing(tmp_path)
    refused(
        run(
            'xray2ct-evaluate',
            run_dir,
            cohort,
            '--split',
            'train',
            '--json',
            tmp_path / 's.json',
            '--no-controls',
        ),
        *words,
    )
    refused(train(tmp_path, '--data', cohort), *words)
    assert listing(tmp_path) == before


# ---- train ------------------------------------------------------------------------------------------------------------------------------------


def train(tmp, *args, recipe='smoke', how=run, **kw):
    "The command, everything under `tmp`."
    return how(
        'python -m xray2ct.train',
        recipe,
        *args,
        '--runs',
        tmp / 'runs',
        '--results',
        tmp / 'results',
        '--device',
        'cpu',
        **kw,
    )


def test_train_refuses_words(tmp_path):
    refused(train(tmp_path, recipe='smok'), "'smoke'")
    refused(train(tmp_path, 'train.stepz=3'), 'train.steps')
    refused(train(tmp_path, 'train.steps=many'), 'train.steps')
    refused(train(tmp_path, '--scale', 'midi'), 'midi')
    refused(train(tmp_path, '--data', tmp_path / 'nowhere'), 'nowhere')
    refused(train(tmp_path, '--resume', tmp_path / 'nothing'), 'nothing')
    refused(
        train(tmp_path, env=dict(WORLD_SIZE='3')), 'train.batch=4', '3 processes'
    )  # a world that does not divide the batch
    refused(train(tmp_path, 'train.stepz=3', how=process), 'train.steps')
    assert list(tmp_path.iterdir()) == []


def test_train_refuses_a_leak(cohort, tmp_path):
    ids = NEW.ids
    write_json(dict(train=ids[:3], validation=ids[2:]), cohort / 'split.json')
    before = listing(tmp_path)
    refused(train(tmp_path, '--data', cohort), ids[2])
    assert listing(tmp_path) == before
    twin = cohort / 'twin'
    twin.mkdir()
    p = ids[0]
    for f in (cohort / p).iterdir():
        (twin / f.name.replace(p, 'twin')).write_bytes(f.read_bytes())
    write_json(dict(train=ids[:2], validation=['twin']), cohort / 'split.json')
    before = listing(tmp_path)
    refused(train(tmp_path, '--data', cohort), p, 'twin')
    assert listing(tmp_path) == before  # the same voxels under another name


def test_train_refuses_a_checkpoint_of_another_model(tmp_path):
    assert train(tmp_path, 'train.steps=2', 'train.eval_every=2').code == 0
    first = next((tmp_path / 'runs').iterdir())
    before = listing(tmp_path)
    said = train(tmp_path, 'model.widths=(8,12)', '--resume', first)
    refused(said, 'model.widths', 'another run')
    assert listing(tmp_path) == before


# ---- doctor, report ---------------------------------------------------------------------------------------------------------------------------


def test_doctor(cohort, tmp_path):
    (tmp_path / 'empty').mkdir()
    refused(run('xray2ct-doctor', tmp_path / 'empty'), 'empty')
    refused(run('xray2ct-doctor', tmp_path / 'nowhere'), 'nowhere')
    p = NEW.ids[1]
    cut(cohort / p / f'{p}.nii.gz')
    before = listing(tmp_path)
    said = process('xray2ct-doctor', cohort, '--json')
    assert (
        said.code == 1
        and 'Traceback' not in said.err
        and p in {r['patient'] for r in json.loads(said.out)['patients'] if r['problems']}
    ), said
    assert listing(tmp_path) == before


def test_report_refuses(run_dir, tmp_path):
    refused(run('xray2ct-report', tmp_path / 'nowhere'), 'nowhere')
    refused(run('xray2ct-report', run_dir), 'not been scored')
    assert not (run_dir / 'report.html').exists()
