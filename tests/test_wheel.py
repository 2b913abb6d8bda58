"A source archive, and the wheel made from it, carry everything that the package reads at run time."

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SLOW = 'slow' in os.environ.get('XRAY2CT_TEST_FLAGS', '').split()


def settings():
    "The values of settings.ini."
    parser = configparser.ConfigParser(delimiters=['='])
    parser.read(ROOT / 'settings.ini', encoding='utf-8')
    return parser['DEFAULT']


def names_of(requirements):
    "Normalized names of packages."
    return {re.split(r'[<>=!~;\[ ]', r, maxsplit=1)[0].lower().replace('_', '-') for r in requirements}


def with_dependencies(names):
    "Everything that an installer would bring for these packages, by the metadata of what is installed here."
    known, todo = set(), set(names)
    while todo:
        name = todo.pop()
        known.add(name)
        try:
            wanted = [r for r in requires(name) or () if 'extra ==' not in r]
        except Exception:
            wanted = []
        todo |= names_of(wanted) - known
    return known


def toy_patients(folder):
    "Two virtual patients, 32^3, as xray2ct-cohort writes them."
    command = [sys.executable, '-m', 'xray2ct.data.cohort', '100:102', folder, '--scale', 'mini']
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


# Modules whose packages a plain installation does not bring are made to fail, as they would there.
BLOCK = '''
import importlib.metadata, re, runpy, sys
allowed = set(sys.argv.pop(1).split(','))
owner = importlib.metadata.packages_distributions()
class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.split('.')[0]
        packages = {d.lower().replace('_', '-') for d in owner.get(top, ())}
        if packages and not packages & allowed and top != 'xray2ct':
            raise ImportError(f'{top} is not a requirement of xray2ct')
sys.meta_path.insert(0, Blocker())
module = sys.argv[1]
sys.argv = sys.argv[1:]
runpy.run_module(module, run_name='__main__', alter_sys=True)
'''


def test_a_plain_installation_predicts_and_evaluates(tmp_path):
    "The twin of the slow test below: the modules of the extras cannot be imported."
    allowed = with_dependencies(names_of(settings()['requirements'].split()) | {'setuptools', 'pip'})
    assert not {'monai', 'tensorboard', 'nbdev', 'pytest'} & allowed
    toy_patients(tmp_path / 'two')
    patient = sorted(p for p in (tmp_path / 'two').iterdir() if p.is_dir() and p.name[0] != '.')[0]
    for words in (
        ['xray2ct.inference.predictor', '--frontal', patient / f'{patient.name}_pa.npy', '--lateral',
         patient / f'{patient.name}_lat.npy', '--weights', 'lift64', '-o', tmp_path / 'ct.nii.gz'],
        ['xray2ct.inference.evaluate', 'lift64', tmp_path / 'two', '--json', tmp_path / 'scores.json'],
    ):
        command = [sys.executable, '-c', BLOCK, ','.join(sorted(allowed)), *map(str, words)]
        env = os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
        r = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert r.returncode == 0, r.stdout[-2000:] + r.stderr[-2000:]
    assert (tmp_path / 'ct.nii.gz').stat().st_size > 1000
    assert json.loads((tmp_path / 'scores.json').read_text())['n'] == 2


def copy_sources(folder):
    "What a wheel is built from: the package and five files."
    shutil.copytree(ROOT / 'xray2ct', folder / 'xray2ct', ignore=shutil.ignore_patterns('__pycache__'))
    for f in ('setup.py', 'settings.ini', 'MANIFEST.in', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / f, folder)
    return folder


@pytest.mark.skipif(not SLOW, reason='installs PyTorch into an empty environment (minutes): XRAY2CT_TEST_FLAGS=slow')
def test_the_wheel_alone_predicts_in_an_empty_environment(tmp_path):
    copy_sources(tmp_path / 'src')
    build = [sys.executable, '-m', 'build', '--wheel', '--no-isolation', '--outdir', tmp_path, tmp_path / 'src']
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob('*.whl'))
    subprocess.run([sys.executable, '-m', 'venv', tmp_path / 'env'], check=True)
    pip = [tmp_path / 'env/bin/pip', 'install', '-q', '--disable-pip-version-check']
    pinned = re.search(r'^torch==\S+', (ROOT / 'requirements.lock').read_text(), re.M)[0]
    subprocess.run([*pip, pinned, wheel], check=True)
    installed = subprocess.run([tmp_path / 'env/bin/pip', 'list'], capture_output=True, text=True).stdout.lower()
    assert 'monai' not in installed and 'tensorboard' not in installed
    toy_patients(tmp_path / 'two')
    patient = sorted(p for p in (tmp_path / 'two').iterdir() if p.is_dir() and p.name[0] != '.')[0]
    env = {'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path), 'OMP_NUM_THREADS': '1'}
    words = ['--frontal', patient / f'{patient.name}_pa.npy', '--lateral', patient / f'{patient.name}_lat.npy']
    predict = [tmp_path / 'env/bin/xray2ct-predict', *words, '-o', tmp_path / 'ct.nii.gz']
    evaluate = [tmp_path / 'env/bin/xray2ct-evaluate', 'lift64', tmp_path / 'two']
    for command in (predict, evaluate):
        r = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert r.returncode == 0, r.stdout[-2000:] + r.stderr[-2000:]


def test_wheel_carries_the_front_ends(tmp_path):
    src = copy_sources(tmp_path / 'src')
    r = subprocess.run(
        [sys.executable, '-m', 'build', '--no-isolation', '--outdir', tmp_path / 'dist', src],
        capture_output=True,
        text=True,
    )  # the archive first, the wheel out of it
    assert r.returncode == 0, r.stdout[-2000:] + r.stderr[-2000:]
    want = {f'xray2ct/viewers/static/{p.name}' for p in (ROOT / 'xray2ct' / 'viewers' / 'static').iterdir()}
    want |= {p.relative_to(ROOT).as_posix() for p in (ROOT / 'xray2ct' / 'inference').glob('*.jinja')}
    want |= {
        p.relative_to(ROOT).as_posix() for p in (ROOT / 'xray2ct').rglob('*.py')
    }
    assert any(f.endswith('.js') for f in want) and any(f.endswith('.css') for f in want)
    wheel, archive = (
        next((tmp_path / 'dist').glob('*.whl')),
        next((tmp_path / 'dist').glob('*.tar.gz')),
    )
    with tarfile.open(archive) as t:
        assert want <= {n.split('/', 1)[1] for n in t.getnames() if '/' in n}
    with zipfile.ZipFile(wheel) as z:
        assert want <= set(z.namelist()), want - set(z.namelist())
        for f in want:
            assert z.read(f) == (ROOT / f).read_bytes(), f
        z.extractall(tmp_path / 'site')
    code = 'import xray2ct.viewers.canvas as c; print(c.__file__); assert "function viewer(" in c.SCRIPT and ".x2v" in c.CSS'  # and it is the installed one that reads them
    out = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env={'PYTHONPATH': str(tmp_path / 'site'), 'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0 and str(tmp_path / 'site') in out.stdout, out.stdout + out.stderr
