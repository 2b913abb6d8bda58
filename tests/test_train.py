"""Training as it is run: real processes, real signals, real broken disks. Nothing here is mocked.

Every run is a tiny network on toy chests, one thread a process, so that what is measured is the trainer and not the network: the `smoke` recipe, or
for the faults a network with everything that could come back wrong (dropout, batch-norm statistics, momentum, a running mean of the weights).
"""

import io, json, os, random, resource, signal, socket, subprocess, sys, time
from dataclasses import replace
from pathlib import Path
import pytest, torch
from safetensors.torch import load_file
from xray2ct.training.checkpoints import latest_checkpoint, list_checkpoints, load_weights
from xray2ct.config import cfg_to_dict, with_overrides
from xray2ct.core import read_json, write_json
from xray2ct.data.dataset import toy_dataset
from xray2ct.physics.geometry import Geometry, Grid
from xray2ct.training.logging import TIMES, read_metrics
from xray2ct.models.reproduced.direct64 import DirectCfg
from xray2ct.data.prepare import write_patient
from xray2ct.recipes import get_recipe
from xray2ct.records import read_records, run_id
from xray2ct.train import main
from xray2ct.training.loop import train
from xray2ct.training.step import DivergedError

ENV = {
    k: v for k, v in os.environ.items() if k not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'IN_TEST')
} | dict(OMP_NUM_THREADS='1', PYTHONUNBUFFERED='1')
SMALL = ['train.checkpoint_seconds=0', 'optim.ema=.9']


def torchrun(*args):
    return [sys.executable, '-m', 'torch.distributed.run', *args]


ALONE, STARTED = [sys.executable], []


def start(where, overrides=(), launcher=ALONE, preexec=None, extra=(), recipe='smoke'):
    "Start a training in folder `where`."
    cmd = [*launcher, '-m', 'xray2ct.train', recipe, *extra, *SMALL, *overrides]
    STARTED.append(
        subprocess.Popen(
            cmd,
            cwd=where,
            env=ENV,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=preexec,
            start_new_session=True,
        )
    )
    return STARTED[-1]


def children(pid):
    "Child processes."
    try:
        return [int(c) for c in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]
    except OSError:
        return []


def kill_tree(pid):
    "SIGKILL to a process and to all that it has started (torchrun's workers lead sessions of their own)."
    kids = children(pid)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    for k in kids:
        kill_tree(k)


@pytest.fixture(autouse=True)
def no_orphans():
    "A test that fails leaves nothing running."
    yield
    for p in STARTED:
        if p.poll() is None:
            kill_tree(p.pid)
            p.wait()
    STARTED.clear()


def finish(p, code=0, timeout=400):
    "Wait for a process and check how it ended; its output."
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_tree(p.pid)
        out, err = p.communicate()
        raise AssertionError(f'no end after {timeout} s\n{err[-3000:]}') from None
    assert p.returncode == code, (
        f'exit code {p.returncode}, not {code}\n{out[-1500:]}\n{err[:6000]}\n...\n{err[-3000:]}'
    )
    return out, err


def run_dir(where):
    "The one run in a folder."
    runs = list((Path(where) / 'runs').iterdir())
    assert len(runs) == 1, runs
    return runs[0]


def journal(where):
    "Every line of a run's metrics but for the times."
    rows = []
    for l in (run_dir(where) / 'metrics.jsonl').read_text().splitlines():
        try:
            rows.append({k: v for k, v in json.loads(l).items() if k not in TIMES})
        except ValueError:
            break  # killed within a line
    return rows


def wait_for_step(where, step, p, timeout=200):
    "Wait until the run has written update `step`."
    end = time.time() + timeout
    while time.time() < end:
        assert p.poll() is None, f'it ended with {p.returncode}: {p.stderr.read()[-3000:]}'
        try:
            if any(r.get('step', 0) >= step for r in read_metrics(run_dir(where))[0]):
                return
        except (AssertionError, ValueError, FileNotFoundError):
            pass
        time.sleep(0.02)
    raise AssertionError(f'update {step} was not reached in {timeout} s')


def same(a, b):
    "Bit for bit: weights, running mean, and every number that was written."
    for name in ('model.safetensors', 'best.safetensors'):
        wa, wb = load_file(run_dir(a) / name), load_file(run_dir(b) / name)
        assert wa.keys() == wb.keys() and all(torch.equal(wa[k], wb[k]) for k in wa), name
    assert journal(a) == journal(b)


def gap(a, b):
    "Largest difference between the final weights of two runs."
    wa, wb = (
        load_file(run_dir(a) / 'model.safetensors'),
        load_file(run_dir(b) / 'model.safetensors'),
    )
    return max((wa[k] - wb[k]).abs().max().item() for k in wa)


CALM = [
    'optim.eps=1e-6'
]  # Adam gives a gradient that is rounding noise a full step, unless eps is above the noise


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
    "The run of one process with which those of two are compared."
    d = tmp_path_factory.mktemp('alone')
    finish(start(d, CALM))
    return d


# ---- processes ----


def test_smoke_leaves_what_it_promises(alone):
    run = run_dir(alone)
    cfg = with_overrides(get_recipe('smoke'), [*SMALL, *CALM])
    assert run.name == run_id(cfg) and read_json(run / 'config.json') == cfg_to_dict(cfg)
    model, cfg2, card = load_weights(run / 'model.safetensors')
    assert cfg2 == cfg and card['step'] == 20 and len(card['training_ids']) == 8
    (rec,) = read_records('smoke', alone / 'results' / 'runs')
    assert (
        rec['status'] == 'finished'
        and rec['steps'] == 20
        and rec['scores']['n'] == 4 == len(rec['scores']['cases'])
        and rec['processes'] == 1
    )
    assert (
        rec['samples_per_s'] > 0
        and rec['peak_memory_mb'][0]['ram'] > 50
        and rec['data_hash']
        and 'mean_volume' in rec['scores']['baselines']
    )
    ups, vals = read_metrics(run)
    assert [r['step'] for r in ups] == list(range(1, 21)) and [v['step'] for v in vals] == [
        2,
        10,
        20,
    ]
    assert sum(r['loss'] for r in ups[-4:]) < 0.95 * sum(r['loss'] for r in ups[:4])
    assert len(rec['curve']['train']) == 20 and rec['curve']['validation'][-1] == [
        20,
        vals[-1]['val_psnr'],
    ]
    out, _ = finish(start(alone, CALM))
    assert out.startswith('done:') and str(run.relative_to(alone)) in out  # again: nothing to do
    assert len(list((alone / 'results' / 'runs').iterdir())) == 1


def test_two_processes_give_the_result_of_one(alone, tmp_path):
    finish(start(tmp_path, CALM, launcher=torchrun('--standalone', '--nproc_per_node=2')))
    print(f'largest difference between the weights: {gap(alone, tmp_path):.1e}')
    assert gap(alone, tmp_path) < 1e-5
    for a, b in zip(journal(alone), journal(tmp_path)):
        assert a.keys() == b.keys() and all(
            abs(a[k] - b[k]) < 1e-3 * max(1, abs(a[k])) for k in a
        ), (a, b)
    (rec,) = read_records(folder=tmp_path / 'results' / 'runs')
    assert rec['processes'] == 2 and len(rec['peak_memory_mb']) == 2


def test_two_agents_train_together(alone, tmp_path):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    agent = torchrun(
        '--nnodes=2',
        '--nproc_per_node=1',
        '--rdzv_backend=c10d',
        f'--rdzv_endpoint=127.0.0.1:{port}',
        '--rdzv_id=t',
    )
    both = [start(tmp_path, CALM, launcher=agent) for _ in range(2)]
    outs = [finish(p)[0] for p in both]
    assert gap(alone, tmp_path) < 1e-5
    assert sum('done:' in o for o in outs) == 1  # one voice


SLOW_RANK = """
import os, time
from xray2ct import train
from xray2ct.evaluation.baselines import Baselines
from xray2ct.training import loop, setup

fit, predict = setup.fit_baselines, Baselines.predict

def slow_fit(*args):
    time.sleep(8)
    return fit(*args)

def slow_predict(self, name, batch):
    if name == 'zero' and os.environ['RANK'] == '0':
        time.sleep(6)
    return predict(self, name, batch)

def slow_once(write):
    seconds = [8]
    def slow_write(*args):
        time.sleep(seconds.pop() if seconds else 0)
        return write(*args)
    return slow_write

setup.fit_baselines, Baselines.predict = slow_fit, slow_predict
loop.save_checkpoint, loop.save_weights = slow_once(loop.save_checkpoint), slow_once(loop.save_weights)
train.main('smoke', ['train.checkpoint_steps=10'], timeout=5)
"""


def test_no_rank_waits_in_a_collective_for_the_work_of_another(tmp_path):
    """Rank 0 needs 8 seconds to fit the baselines and 12 to score its share of them, 8 to write a checkpoint and 8 for the best weights.
    A collective may take 5."""
    (tmp_path / 'slow.py').write_text(SLOW_RANK)
    STARTED.append(
        p := subprocess.Popen(
            [*torchrun('--standalone', '--nproc_per_node=2'), 'slow.py'],
            cwd=tmp_path,
            env=ENV,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    )
    started = time.time()
    out, err = finish(p, timeout=300)
    assert time.time() - started > 36 and 'done:' in out
    (rec,) = read_records(folder=tmp_path / 'results' / 'runs')
    assert rec['status'] == 'finished' and rec['processes'] == 2 and rec['scores']['n'] == 4
    assert all(len(b['by_case']) == 4 for b in rec['scores']['baselines'].values())


# ---- faults ----

LONG = ['train.steps=120', 'train.eval_every=40', 'train.checkpoint_steps=2', 'train.log_every=5']


@pytest.fixture(scope='module')
def noisy(tmp_path_factory):
    "A configuration file: dropout and batch norm."
    f = tmp_path_factory.mktemp('noisy') / 'noisy.json'
    net = DirectCfg(
        n=16,
        tokens=4,
        pixels=32,
        dim=16,
        heads=2,
        depth=1,
        stem=(8, 8),
        xray=(8, 8, 16),
        cond_dim=16,
        time_dim=16,
    )
    write_json(cfg_to_dict(replace(get_recipe('smoke'), recipe='noisy', model=net)), f)
    return str(f)


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory, noisy):
    "The run that nobody disturbed."
    d = tmp_path_factory.mktemp('unbroken')
    finish(start(d, LONG, recipe=noisy))
    return d


WARM = """
import json, os, sys
import torch._dynamo, xray2ct.train as t           # what every start would import again; no thread runs yet
for line in sys.stdin:
    o = json.loads(line); pid = os.fork()
    if not pid:
        os.chdir(o['where']); os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        t.main(o['recipe'], o['overrides']); os._exit(0)
    print(pid, flush=True); print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Warm:
    "Starts trainings from a process that has torch loaded: five seconds less a start. What is started is a process of its own."

    def __init__(self):
        STARTED.append(
            p := subprocess.Popen(
                [sys.executable, '-c', WARM],
                env=ENV,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self.p = p

    def start(self, where, recipe, overrides):
        print(
            json.dumps(dict(where=str(where), recipe=recipe, overrides=[*SMALL, *overrides])),
            file=self.p.stdin,
            flush=True,
        )
        self.pid = int(self.p.stdout.readline())

    def wait(self):
        return int(self.p.stdout.readline())

    def poll(self):
        return self.p.poll()

    stderr = io.StringIO()


def test_killed_ten_times_ends_like_an_unbroken_run(tmp_path, noisy, unbroken):
    "SIGKILL at ten random moments, many of them within a checkpoint, because one is written after every second update."
    want, warm, rng, at, torn = journal(unbroken), Warm(), random.Random(os.urandom(8)), [], 0
    for kill in range(10):
        done = journal(tmp_path)[-1]['step'] if at else 0  # what earlier lives have written
        warm.start(tmp_path, noisy, LONG)
        wait_for_step(tmp_path, done + 1, warm)
        time.sleep(rng.uniform(0, 0.25))
        os.kill(warm.pid, signal.SIGKILL)
        assert warm.wait() == -signal.SIGKILL, f'it had ended before kill {kill}'
        cks = run_dir(tmp_path) / 'checkpoints'
        torn += bool(list(cks.glob('.part-*')))
        last = latest_checkpoint(cks)
        at.append(last.step if last else 0)  # killed before the first one: from the beginning
        rows = journal(tmp_path)
        assert rows == want[: len(rows)], (
            f'after kill {kill} the numbers differ from the unbroken run'
        )
    finish(start(tmp_path, LONG, recipe=noisy))
    print(f'killed after updates {at}, {torn} of them while a checkpoint was being written')
    same(unbroken, tmp_path)
    (rec,) = read_records(folder=tmp_path / 'results' / 'runs')
    assert len(rec['sessions']) == 11


def rank_of(pid):
    try:
        return dict(
            l.split('=', 1)
            for l in Path(f'/proc/{pid}/environ').read_text().split('\0')
            if '=' in l
        ).get('RANK')
    except OSError:
        return None


def test_a_rank_that_dies_comes_back(tmp_path, noisy):
    "Three processes, because with two a gradient summed in another order is still the same gradient."
    three = torchrun('--standalone', '--nproc_per_node=3', '--max-restarts=2')
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    whole.mkdir()
    broken.mkdir()
    o = ['train.steps=40', 'train.batch=6', 'train.checkpoint_steps=5', 'train.log_every=5']
    p = start(broken, o, launcher=three, recipe=noisy)
    wait_for_step(broken, 15, p)
    (victim,) = [c for c in children(p.pid) if rank_of(c) == '1']
    os.kill(victim, signal.SIGKILL)
    finish(p)
    (rec,) = read_records(folder=broken / 'results' / 'runs')
    assert (
        len(rec['sessions']) == 2
        and rec['sessions'][1]['step'] >= 10
        and rec['status'] == 'finished'
    )
    finish(start(whole, o, launcher=three, recipe=noisy))
    same(whole, broken)


def small_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))


def test_asked_to_stop_then_a_full_disk_then_on(tmp_path, noisy, unbroken):
    "SIGTERM saves; no space for the next checkpoint leaves that one; with space again the run ends as if nothing had happened."
    broken = tmp_path
    p = start(broken, LONG, recipe=noisy)
    wait_for_step(broken, 20, p)
    p.send_signal(signal.SIGTERM)
    out, err = finish(p, 130)
    assert 'stopped after step' in out and 'Traceback' not in err
    run = run_dir(broken)
    ck = latest_checkpoint(run / 'checkpoints')
    assert ck.step >= 20
    assert (
        read_json(run / 'record.json')['status'] == 'stopped' and not (broken / 'results').exists()
    )  # it will go on
    _, err = finish(start(broken, LONG, preexec=small_disk, recipe=noisy), 2)
    said = [l for l in err.split('\n') if l.startswith('error:')]
    assert len(said) == 1 and 'Traceback' not in err, err
    assert 'could not be written' in said[0] and f'resumes from step-{ck.step:08d}' in said[0]
    assert latest_checkpoint(run / 'checkpoints').step == ck.step
    finish(start(broken, LONG, recipe=noisy))
    same(unbroken, broken)


def test_loader_processes_outlive_a_request_to_stop(tmp_path, noisy, unbroken):
    "A queue asks every process of the job to stop: those that load batches go on until the run has saved."
    workers = [*LONG, 'train.workers=2', 'train.preload_gb=0']
    p = start(tmp_path, workers, recipe=noisy)
    wait_for_step(tmp_path, 20, p)
    assert len(children(p.pid)) >= 2
    os.killpg(p.pid, signal.SIGTERM)
    out, err = finish(p, 130)
    assert 'stopped after step' in out and 'Traceback' not in err, err
    finish(start(tmp_path, workers, recipe=noisy))
    same(unbroken, tmp_path)


def test_divergence_names_the_patients_and_keeps_the_checkpoint(tmp_path):
    o = [
        'train.steps=60',
        'train.checkpoint_steps=1',
        'train.log_every=1',
        'optim.schedule=constant',
    ]
    finish(start(tmp_path, ['train.steps=6', *o[1:]]))
    good = run_dir(tmp_path)
    out, err = finish(
        start(tmp_path, [*o, 'optim.lr=1e20', 'optim.clip=0.'], extra=('--resume', str(good))), 2
    )
    (said,) = [l for l in err.split('\n') if l.startswith('error:')]
    assert 'not a finite number at step' in said or 'not finite' in said, said
    assert 'toy0_00' in said or 'weights' in said, said
    (rec,) = [
        r for r in read_records(folder=tmp_path / 'results' / 'runs') if r['status'] == 'diverged'
    ]
    assert rec['why'] in said and rec['scores'] is None
    for run in (tmp_path / 'runs').iterdir():
        for c in list_checkpoints(run / 'checkpoints'):
            assert all(
                t.isfinite().all()
                for t in latest_checkpoint(run / 'checkpoints').weights.values()
            )
    assert latest_checkpoint(good / 'checkpoints').step == 6


def test_one_bad_patient_is_named(tmp_path):
    "A patient that turns into NaN while the run is going, after every check of the data."

    class Rots:
        def __init__(self, ds):
            self.ds, self.ids, self.n = ds, ds.ids, 0

        def __getattr__(self, k):
            return getattr(self.ds, k)

        def __len__(self):
            return len(self.ds)

        def __getitem__(self, i):
            return self.ds[i]

        def batch(self, ix):
            b = self.ds.batch(ix)
            self.n += 1
            for i, p in enumerate(b['patient']):
                if p == 'toy0_003' and self.n > 20:
                    b['volume'][i] = float('nan')
            return b

    cfg = with_overrides(
        get_recipe('smoke'),
        ['train.steps=40', 'train.checkpoint_steps=1', 'train.log_every=2', 'train.preload_gb=0'],
    )
    sets = (Rots(toy_dataset(8, 16, 32)), toy_dataset(4, 16, 32, seed=1))
    with pytest.raises(DivergedError) as e:
        train(cfg, sets, tmp_path / 'runs' / 'x', results=tmp_path / 'results', quiet=True)
    assert 'the loss of toy0_003 is not a finite number at step' in str(e.value)
    ck = latest_checkpoint(tmp_path / 'runs' / 'x' / 'checkpoints')
    assert ck.step >= 14 and all(t.isfinite().all() for t in ck.weights.values())
    (rec,) = read_records(folder=tmp_path / 'results')
    assert rec['status'] == 'diverged' and 'toy0_003' in rec['why']


# ---- the command line ----


def call(capsys, *args, code=2):
    "Call `main` in this process; what it said on stderr and stdout."
    torch.manual_seed(0)
    if code is None:
        main(*args[:1], **args[1] if len(args) > 1 else {})
    else:
        with pytest.raises(SystemExit) as e:
            main(*args[:1], **args[1] if len(args) > 1 else {})
        assert e.value.code == code
    o = capsys.readouterr()
    return o.err if code else o.out


def test_bad_input_is_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def says(text, recipe='smoke', **kw):
        err = call(capsys, recipe, kw)
        assert err.count('\n') == 1 and text in err, err

    says("Did you mean 'smoke'?", 'smok')
    says("'train.steps'", overrides=['train.stpes=3'])
    says('has no effect', overrides=['optim.pct_start=.5'])
    says('no such file', 'nowhere/config.json')
    says('xray2ct-cohort virtual100', 'lift64')
    says('no such checkpoint', resume='nowhere')
    monkeypatch.setenv('WORLD_SIZE', '3')
    says('cannot be split over 3 processes')
    monkeypatch.delenv('WORLD_SIZE')
    assert not list(tmp_path.iterdir())  # nothing half-written
    call(capsys, 'smoke', dict(overrides=['train.steps=4']), code=None)
    run = run_dir(tmp_path)
    says('seed is 0 there and 1 here', overrides=['seed=1'], resume=str(run))
    says('model.', 'direct64', overrides=['data.n=32'], resume=str(run), data=str(tmp_path))


def test_folders_of_patients_and_a_leak(tmp_path, capsys, monkeypatch):
    "A cohort of files, as users have it; one patient under two names stops the run before the first update."
    monkeypatch.chdir(tmp_path)
    ds, root = toy_dataset(6, 32, 64), tmp_path / 'mine'
    ids = [f'p{i}' for i in range(6)]
    for i, p in enumerate(ids):
        write_patient(root / p, ds[i]['volume'][0], Grid(32), Geometry(pixels=64))
    write_json(dict(train=ids[:4], validation=ids[4:]), root / 'split.json')
    out = call(capsys, 'smoke', dict(overrides=['train.steps=4'], data=str(root)), code=None)
    assert '4 training patients, 2 validation patients' in out and 'done:' in out
    (rec,) = read_records()
    assert [c['patient'] for c in rec['scores']['cases']] == ids[4:] and len(
        rec['scores']['baselines']
    ) > 2
    write_patient(root / 'p6', ds[1]['volume'][0], Grid(32), Geometry(pixels=64))
    write_json(dict(train=ids[:4], validation=['p4', 'p6']), root / 'split.json')
    err = call(capsys, 'smoke', dict(overrides=['train.steps=5'], data=str(root)))
    said = [l for l in err.splitlines() if l.startswith('error:')]
    assert len(said) == 1 and 'p1' in said[0] and 'p6' in said[0]
    assert len(list((tmp_path / 'runs').iterdir())) == 1


def test_dry_and_config_file_and_new_rate(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    d = json.loads(call(capsys, 'smoke', dict(dry_run=True, overrides=['train.steps=4']), code=None))
    assert d['train']['steps'] == 4 and not list(tmp_path.iterdir())
    write_json(d, tmp_path / 'mine.json')
    call(capsys, 'mine.json', code=None)
    run = run_dir(tmp_path)
    assert read_json(run / 'config.json') == d
    call(
        capsys,
        'smoke',
        dict(
            overrides=['train.steps=8', 'optim.lr=5e-4', 'optim.schedule=constant'], resume=str(run)
        ),
        code=None,
    )
    (other,) = [r for r in (tmp_path / 'runs').iterdir() if r != run]
    assert [(r['step'], r['lr']) for r in read_metrics(other)[0]] == [
        (s, 5e-4) for s in (5, 6, 7, 8)
    ]  # the new rate is the one that applies
    d['nonsense'] = 1
    write_json(d, tmp_path / 'mine.json')
    assert 'nonsense' in call(capsys, 'mine.json')
