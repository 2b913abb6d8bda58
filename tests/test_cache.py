"""The cache of prepared arrays under real processes: several at once, killed in the middle, without file locks, from other folders.

`05_data/04_cache` tests one process; here are the claims that need more: every patient is there and whole whatever happens to the others, and a cache
that was interrupted equals one that was not, byte for byte.
"""

import os, random, shutil, signal, subprocess, sys, time
import numpy as np
import pytest
from xray2ct.data.cache import DataCfg, build_cache
from xray2ct.core import sha256_of, write_json
from xray2ct.data.dataset import toy_dataset
from xray2ct.physics.geometry import Geometry, Grid
from xray2ct.physics.geometry_file import geometry_to_dict
from xray2ct.io.volume import write_nifti

N = 12
ENV = {k: v for k, v in os.environ.items() if k != 'IN_TEST'} | dict(OMP_NUM_THREADS='1')
CODE = """import sys; from xray2ct.data import cache
if sys.argv[2] == 'no-lock': cache.file_lock = lambda path, doing: __import__('contextlib').nullcontext()
print('ready', flush=True); sys.stdin.readline()
print(cache.build_cache(sys.argv[1], cache.DataCfg(n=16, pixels=32), workers=1, quiet=True).built)"""


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    "A cohort of real files: 64³ NIfTI, 64² line integrals, geometry."
    root, ds = tmp_path_factory.mktemp('data') / 'cohort', toy_dataset(N, 64, 64)
    for i, pid in enumerate(ds.ids):
        f = root / pid
        f.mkdir(parents=True)
        write_nifti(ds[i]['volume'][0], Grid(64), f / f'{pid}.nii.gz')
        for v, x in zip(ds.cfg.views, ds[i]['xrays'][:, 0].numpy()):
            np.save(f / f'{pid}_{v}.npy', x)
        write_json(geometry_to_dict(Geometry(pixels=64)), f / 'geometry.json')
    return root


@pytest.fixture
def cohort(source, tmp_path):
    "A fresh copy, without a cache."
    return shutil.copytree(
        source, tmp_path / 'cohort', ignore=shutil.ignore_patterns('.xray2ct_cache')
    )


def start(root, how='lock'):
    "A builder that waits at the line."
    p = subprocess.Popen(
        [sys.executable, '-c', CODE, root, how],
        env=ENV,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert p.stdout.readline() == 'ready\n', p.stderr.read()
    return p


def go(*ps):
    "Let them run at the same moment."
    for p in ps:
        p.stdin.write('go\n')
        p.stdin.flush()


def built(p):
    "How many patients it built."
    out, err = p.communicate(timeout=60)
    assert p.returncode == 0, err[-2000:]
    return int(out)


def hashes(root):
    "Every prepared array, by patient and name."
    c = build_cache(root, DataCfg(n=16, pixels=32), quiet=True)
    assert len(c.entries) == N
    return c.built, {
        (p, k): sha256_of(e['place'] / k)
        for p, e in c.entries.items()
        for k in ('volume.npy', 'xrays.npy')
    }


@pytest.mark.parametrize('how', ['lock', 'no-lock'])
def test_two_processes_build_one_cache(cohort, source, how):
    ps = [start(cohort, how) for _ in range(2)]
    go(*ps)
    n = [built(p) for p in ps]
    assert sum(n) == N if how == 'lock' else N <= sum(n) <= 2 * N, n
    left, got = hashes(cohort)
    assert left == 0 and got == hashes(source)[1]
    assert not list(cohort.rglob('.part-*'))


def test_killed_builders_leave_nothing_half_made(cohort, source):
    rng = random.Random(0)
    for _ in range(3):
        p = start(cohort)
        go(p)
        time.sleep(rng.uniform(0.01, 0.25))
        p.send_signal(signal.SIGKILL)
        p.wait()
    p = start(cohort)
    go(p)
    built(p)  # the lock died with its holder
    left, got = hashes(cohort)
    assert left == 0 and got == hashes(source)[1]


def test_a_killed_holder_does_not_block_the_next(cohort):
    a, b = start(cohort), start(cohort)
    go(a)
    time.sleep(0.05)
    go(b)
    time.sleep(0.05)
    a.send_signal(signal.SIGKILL)
    a.wait()
    built(b)
    assert hashes(cohort)[0] == 0
