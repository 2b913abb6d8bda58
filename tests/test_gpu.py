"""What only a GPU can show: half precision, nccl, and that a GPU gives what a CPU gives. Skipped without one.

`XRAY2CT_GPU_TESTS=cpu` runs the same code on the CPU, in float32 and bfloat16, to try the tests themselves.
"""

import math, os, subprocess, sys
from dataclasses import replace
import pytest, torch
from xray2ct.config import with_overrides
from xray2ct.core import pick_device
from xray2ct.data.dataset import to_device, toy_dataset
from xray2ct.recipes import get_recipe, list_recipes
from xray2ct.training.checkpoints import load_checkpoint, save_checkpoint
from xray2ct.training.optim import pick_precision
from xray2ct.config import cfg_to_dict
from xray2ct.training.step import (
    batch_stream,
    fit,
    make_train_state,
    output_hu,
    restore,
    state_of,
    supervised_step,
)

ON_CPU = os.environ.get('XRAY2CT_GPU_TESTS') == 'cpu'
pytestmark = pytest.mark.skipif(not (torch.cuda.is_available() or ON_CPU), reason='needs a GPU')
HALVES = ('bf16',) if ON_CPU else ('bf16', 'fp16')
RESUME_TOLERANCE = 0.0 if ON_CPU else 1e-4  # of a weight; the kernels of a GPU add in any order


def device():
    return pick_device('cpu' if ON_CPU else 'cuda')


def families():
    "One mini recipe of each kind of network."
    found = {}
    for name in list_recipes():
        cfg = get_recipe(name)
        found.setdefault(cfg.model.kind, name)
    return sorted(found.values())


def small_batches(cfg):
    "The settings for two patients, and the patients."
    train = replace(cfg.train, batch=2, accumulate=1, channels_last=True)
    return replace(cfg, train=train, base_model=''), toy_dataset(2, cfg.data.n, cfg.data.pixels)


def gradient_of_one_step(cfg, precision):
    "Loss of the first step, and its gradient as one vector, before any limit."
    cfg = replace(cfg, train=replace(cfg.train, precision=precision), optim=replace(cfg.optim, clip=0.0))
    cfg, data = small_batches(cfg)
    s = make_train_state(cfg, 2, device())
    torch.manual_seed(0)
    out = supervised_step(s, to_device(data.batch([0, 1]), s.device))
    parts = [p.grad.float().flatten() for p in s.model.parameters() if p.grad is not None]
    return out['loss'].mean().item(), torch.cat(parts)


@pytest.mark.parametrize('name', families())
def test_half_precision_makes_the_step_of_float32(name):
    "One step of each family: the same loss within 5 %, and a gradient that points the same way."
    cfg = get_recipe(name)
    if hasattr(cfg.model, 'dropout'):
        cfg = replace(cfg, model=replace(cfg.model, dropout=0.0))
    want, exact = gradient_of_one_step(cfg, 'fp32')
    for precision in HALVES:
        loss, gradient = gradient_of_one_step(cfg, precision)
        angle = torch.nn.functional.cosine_similarity(gradient, exact, 0).item()
        print(f'{name} {precision}: loss {loss:.4f} for {want:.4f}, cosine of the gradients {angle:.4f}')
        assert abs(loss - want) < 0.05 * abs(want) + 1e-3
        assert gradient.isfinite().all()
        assert angle > 0.9 or exact.norm() < 1e-6


def toy_run(*overrides):
    return with_overrides(get_recipe('smoke'), ['optim.ema=.9', *overrides])


@pytest.mark.skipif(ON_CPU, reason='a CPU has no fp16')
def test_a_scaled_gradient_that_overflows_is_skipped():
    "The first step at a scale of 2^40 changes nothing and lowers the scale; later ones train."
    cfg = toy_run('train.precision=fp16')
    s = make_train_state(cfg, 6, device())
    s.scaler = torch.amp.GradScaler('cuda', init_scale=2.0**40)
    before = [p.detach().clone() for p in s.model.parameters()]
    steps = fit(s, batch_stream(toy_dataset(6, 16, 32), cfg, pin=True))
    row = next(steps)
    assert not math.isfinite(row['grad_norm'].item()) and row['loss'].isfinite().all()
    assert all(torch.equal(a, b) for a, b in zip(before, s.model.parameters()))
    assert s.scaler.get_scale() < 2.0**40
    for row in steps:
        pass
    assert math.isfinite(row['grad_norm'].item())
    assert any(not torch.equal(a, b) for a, b in zip(before, s.model.parameters()))


@pytest.mark.parametrize('precision', ['fp32', *HALVES])
def test_a_resumed_run_is_the_unbroken_one(tmp_path, precision):
    "Ten steps, and five, a checkpoint, five more: weights, moments, scale and running mean."
    cfg = toy_run(f'train.precision={precision}', 'train.steps=10')
    data = toy_dataset(6, 16, 32)

    def run(stop, checkpoint=None):
        s = make_train_state(cfg, 6, device())
        if checkpoint:
            restore(s, checkpoint)
        for row in fit(s, batch_stream(data, cfg, s.step, pin=not ON_CPU)):
            if row['step'] == stop:
                return s

    half = run(5)
    weights, state, ema = state_of(half)
    saved = save_checkpoint(tmp_path, 5, weights, state, dict(config=cfg_to_dict(cfg)), ema)
    whole, resumed = run(10), run(10, load_checkpoint(saved))
    pairs = [*zip(whole.model.parameters(), resumed.model.parameters())]
    pairs += [(v, resumed.ema.mean[k]) for k, v in whole.ema.mean.items()]
    difference = max((a - b).abs().max().item() for a, b in pairs)
    print(f'{precision}: largest difference after resuming {difference:.1e}')
    assert difference <= RESUME_TOLERANCE
    assert whole.scaler.state_dict() == resumed.scaler.state_dict()


def test_a_prediction_on_the_gpu_is_that_of_the_cpu():
    "The pretrained networks in float32, within 1 HU on average of what is seen in the window."
    from xray2ct.training.checkpoints import load_weights, pretrained_weights
    from xray2ct.training.optim import tune_gpu

    tune_gpu('fp32', device())
    for name, path in pretrained_weights().items():
        model, cfg, _ = load_weights(path)
        if cfg.data.n > 128:
            continue
        batch = toy_dataset(1, cfg.data.n, cfg.data.pixels).batch([0])
        with torch.inference_mode():
            want = output_hu(model.eval(), batch, cfg)
            got = output_hu(model.to(device()), to_device(batch, device()), cfg).cpu()
        difference = (got - want).abs()
        print(f'{name}: {difference.mean():.4f} HU on average, {difference.max():.3f} at most')
        assert difference.mean() < 0.1 and difference.max() < 20


def test_baselines_and_refinement_on_the_gpu_are_those_of_the_cpu():
    "Every baseline within 1 HU on average, and ten SIRT steps with what they leave unexplained."
    from xray2ct.evaluation.baselines import fit_baselines
    from xray2ct.inference.predictor import refine_volume, residual
    from xray2ct.physics.geometry import Geometry

    fitted, new = fit_baselines(toy_dataset(12, 16, 32)), toy_dataset(2, 16, 32, seed=1)
    batch = new.batch([0, 1])
    for name in fitted.names:
        want, got = fitted.predict(name, batch), fitted.predict(name, to_device(batch, device()))
        assert got.device.type == device().type
        print(f'{name}: {(got.cpu() - want).abs().mean():.4f} HU on average')
        assert (got.cpu() - want).abs().mean() < 1
    geometry, truth = Geometry(pixels=32), batch['volume'][0, 0]
    integrals, start = batch['xrays'][0, :, 0], truth.mean().expand_as(truth).contiguous()
    results = []
    for where in ('cpu', device()):
        hu = refine_volume(start.to(where), integrals, geometry.matrices(), 360.0, 10)
        results.append((hu.cpu(), residual(hu, integrals, geometry, 360.0)))
    (want, left), (got, left_on_gpu) = results
    assert (got - want).abs().mean() < 1 and max(abs(a - b) for a, b in zip(left, left_on_gpu)) < 1e-3


def test_triton_renders_what_torch_renders():
    "nanodrr's kernel for GPUs and its torch backend, and our projector on both."
    from xray2ct.phantom import virtual_patient
    from xray2ct.physics.geometry import Geometry
    from xray2ct.physics.projection import hu_to_mu, project, render_xrays

    geometry = Geometry(pixels=64)
    hu = torch.from_numpy(virtual_patient(0, 64)[0])
    matrices = geometry.matrices()[None]
    pairs = [(render_xrays(hu, geometry), render_xrays(hu.to(device()), geometry))]
    both = [project(hu_to_mu(hu.to(d))[None, None], matrices.to(d), 360.0, 64) for d in ('cpu', device())]
    for want, got in (*pairs, both):
        difference = (got.cpu() - want).abs()
        print(f'X-rays: {difference.mean():.1e} on average, {difference.max():.1e} at most, of {want.max():.2f}')
        assert difference.mean() < 1e-3 * want.max() and difference.max() < 0.02 * want.max()


@pytest.mark.parametrize('change', ['data.angle_noise_deg=1.0', 'data.augment=flip'])
def test_a_step_waits_for_nothing_on_the_host(change):
    "CUDA reports every synchronization as an error, after two steps that may wait."
    cfg = toy_run('train.precision=auto', 'train.accumulate=2', change)
    s = make_train_state(cfg, 6, device())
    batch = to_device(toy_dataset(6, 16, 32).batch(range(4)), s.device)
    for step in range(4):
        if step == 2 and not ON_CPU:
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode('error')
        try:
            supervised_step(s, batch)
            s.ema.update(step + 1)
        finally:
            if not ON_CPU:
                torch.cuda.set_sync_debug_mode('default')


@pytest.mark.skipif(ON_CPU, reason='a CPU does not count its memory')
@pytest.mark.parametrize('name', ['direct256_v1', 'lift256', 'refine_v2_it6'])
def test_a_step_at_256_fits_into_24_gb(name):
    "One patient at full size, as counted in the chapter of recipes."
    cfg = get_recipe(name, 'full')
    cfg = replace(cfg, base_model='', train=replace(cfg.train, batch=1, accumulate=1))
    s = make_train_state(cfg, 1, device())
    n, pixels = cfg.data.n, cfg.data.pixels
    batch = toy_dataset(1, 16, pixels).batch([0]) | dict(volume=2000 * torch.rand(1, 1, n, n, n) - 1000)
    torch.cuda.reset_peak_memory_stats()
    assert supervised_step(s, to_device(batch, s.device))['loss'].isfinite().all()
    used = torch.cuda.max_memory_allocated() / 1e9
    print(f'{name}: {used:.1f} GB at most')
    assert used < 24


ONE_RANK = """
import torch, torch.distributed as dist
from xray2ct.core.distributed import barrier, from_main, gather_lists, mean_over_ranks, process_group
gpu = torch.cuda.is_available()
with process_group('nccl' if gpu else 'gloo', timeout_s=60) as (rank, world):
    device = torch.device('cuda', torch.cuda.current_device()) if gpu else torch.device('cpu')
    x = torch.ones(3, device=device)
    dist.all_reduce(x)
    assert x.tolist() == [world] * 3
    assert mean_over_ranks(torch.tensor([1.0, 3.0])) == 2.0  # of the CPU
    assert mean_over_ranks(x) == world
    assert gather_lists(['a']) == ['a'] and from_main(lambda: torch.ones(2)).sum() == 2
    net = torch.nn.parallel.DistributedDataParallel(
        torch.nn.Conv3d(1, 2, 1).to(device), device_ids=[device.index] if gpu else None, static_graph=gpu
    )
    net(torch.ones(1, 1, 4, 4, 4, device=device)).sum().backward()
    barrier()
"""


def under_torchrun(where, *command):
    "Run a command as a group of one process."
    env = {k: v for k, v in os.environ.items() if k not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'IN_TEST')}
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=1']
    r = subprocess.run([*torchrun, *command], cwd=where, env=env, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr[-3000:]
    return r


def test_nccl_with_one_rank(tmp_path):
    (tmp_path / 'one.py').write_text(ONE_RANK)
    under_torchrun(tmp_path, 'one.py')
    words = ['-m', 'xray2ct.train', 'smoke', '--device', 'cpu' if ON_CPU else 'cuda', 'train.workers=2']
    words += ['train.precision=auto', 'train.preload_gb=0']
    r = under_torchrun(tmp_path, *words)
    assert 'done:' in r.stdout and 'Grad strides' not in r.stderr
    assert pick_precision('auto', device()) in r.stdout
