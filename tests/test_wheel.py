"A source archive, and the wheel made from it, carry everything that the package reads at run time."

import shutil, subprocess, sys, tarfile, zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_wheel_carries_the_front_ends(tmp_path):
    src = tmp_path / 'src'
    shutil.copytree(ROOT / 'xray2ct', src / 'xray2ct', ignore=shutil.ignore_patterns('__pycache__'))
    for f in ('setup.py', 'settings.ini', 'MANIFEST.in', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / f, src)
    r = subprocess.run(
        [sys.executable, '-m', 'build', '--no-isolation', '--outdir', tmp_path / 'dist', src],
        capture_output=True,
        text=True,
    )  # the archive first, the wheel out of it
    assert r.returncode == 0, r.stdout[-2000:] + r.stderr[-2000:]
    want = {f'xray2ct/viewers/static/{p.name}' for p in (ROOT / 'xray2ct' / 'static').iterdir()} | {
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
