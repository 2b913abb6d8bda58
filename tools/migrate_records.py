"""Rename the keys, ids and files of stored records, and the keys of the pretrained weights, once: `python tools/migrate_records.py`.

It belongs to the commit that renames the settings, and to no other: nothing in the package reads the old names afterwards."""

import hashlib
import json
import re
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from xray2ct.config import cfg_from_dict  # noqa: E402
from xray2ct.core import InputError  # noqa: E402
from xray2ct.records import free_id, run_id  # noqa: E402

KEYS = {
    'accidents': 'legacy',
    'arm': 'run',
    'arms': 'runs',
    'as_printed': 'as_reported',
    'below_floor_at_tenth': 'below_baseline_at_check',
    'centre_mm': 'center_mm',
    'drop_view': 'view_dropout',
    'epoch_updates': 'epoch_steps',
    'exposure': 'detector',
    'film_widths': 'xray_widths',
    'films_of': 'xrays_of',
    'fine_film': 'fine_xray',
    'floor_psnr': 'baseline_psnr',
    'floors': 'baselines',
    'follows': 'resume_from',
    'mean_films': 'mean_xrays',
    'mistold_deg': 'angle_noise_deg',
    'printed': 'reported',
    'repaired': 'calibrated_coverage',
    'said': 'coverage',
    'spread': 'uncertainty',
    'spread_hidden': 'uncertainty_hidden',
    'stands_on': 'base_weights',
    'widen': 'extrapolate',
    'rival_base64': 'direct64_matched',
    'rival_unet64': 'dynunet64',
    'optimiser': 'optimizer',
}
RECIPES = {
    'rival_base64': 'direct64_matched',
    'rival_unet64': 'dynunet64',
    'rival_base': 'direct32_matched',
    'rival_unet': 'dynunet32',
}
SETTINGS = {  # as they stand in an override, such as model.spread=true
    r'^model\.spread=': 'model.uncertainty=',
    r'^model\.spread_hidden=': 'model.uncertainty_hidden=',
    r'^loss\.spread=': 'loss.uncertainty=',
    r'^model\.drop_view=': 'model.view_dropout=',
    r'^data\.copies=': 'data.augmented_copies=',
    r'^optim\.epoch_updates=': 'optim.epoch_steps=',
    r'^optim\.schedule_per=update': 'optim.schedule_per=step',
    r'^stream\.widen=': 'stream.extrapolate=',
    r'^base=': 'base_model=',
    r'^model\.axes=film': 'model.axes=xray',
}
RUNS = {
    'base, lr 4e-6': 'base-lr4e-6',
    'base, lr 2e-5': 'base-lr2e-5',
    'base, lr 1e-4': 'base-lr1e-4',
    'base, lr 3e-4': 'base-lr3e-4',
    'base, lr 1e-3': 'base-lr1e-3',
    'positions': 'base-positions',
    'both views': 'base-both-views',
    'positions, both views': 'base-positions-both-views',
    'no cross-attention': 'base-no-cross-attention',
    'patch head': 'base-patch-head',
    'conv head': 'base-conv-head',
    'cnn, without VGG': 'cnn-no-vgg',
    'cnn, without edges': 'cnn-no-edges',
    'cnn, L1 + SSIM': 'cnn-l1-ssim',
    'cnn, L1': 'cnn-l1',
    'base, L1, 105': 'base-l1-105',
    'base, L1 + SSIM, 105': 'base-l1-ssim-105',
    'base, all losses, 105': 'base-all-losses-105',
    'enhanced64, 600': 'enhanced64-600',
    'base, one-cycle per update': 'base-onecycle-per-step',
    'base, one-cycle per epoch': 'base-one-cycle-per-epoch',
    'base, constant': 'base-constant',
    'no SSIM': 'base-no-ssim',
    'SSIM range 2': 'base-ssim-range2',
    'SSIM weight 2': 'base-ssim-weight2',
    'SSIM weight 2, fp32': 'base-ssim-weight2-fp32',
    'start zeros': 'base-start-zeros',
    'start frozen_random': 'base-start-random',
    'start mean_volume': 'base-start-mean-volume',
    'cnn, axes as loaded': 'cnn-axes-as-loaded',
    'cnn, axes of the films': 'cnn-axes-as-xrays',
    'v2, lr 1e-4': 'v2-lr1e-4',
    'v2, skip and zero head': 'v2-skip-and-zero-head',
    'v2, group norm': 'v2-group-norm',
    'v1, lr 1e-4': 'v1-lr1e-4',
    'refine, base': 'refine-base',
    'refine, truth at 64': 'refine-truth64',
    'refine, truth at 16': 'refine-truth16',
    'interpolated truth at 64': 'interpolated-truth64',
    'interpolated truth at 16': 'interpolated-truth16',
    'v1, lr 4e-6': 'v1-lr4e-6',
    'v2, lr 2e-5': 'v2-lr2e-5',
    'unet64, 400': 'unet64-400',
    'unet64_monai, 400': 'unet64_monai-400',
    '20 patients': 'base-20-patients',
    '40 patients': 'base-40-patients',
    'augment flip': 'base-flip',
    'augment flip_as_run': 'base-flip-as-run',
    'augment intensity': 'base-intensity',
    'direct128, 200': 'direct128-200',
    'anti-aliased targets': 'base-antialiased-targets',
    'unet64, lr 1e-3, 400': 'unet64-lr1e-3-400',
    'unet64_monai, lr 1e-3, 400': 'unet64_monai-lr1e-3-400',
    'unet64 as run, lr 1e-3, 400': 'unet64-as-run-lr1e-3-400',
    'base, lr 1e-3, leaky': 'base-lr1e-3-leaky',
    'cnn, axes of the films, leaky': 'cnn-axes-as-xrays-leaky',
    'direct64_long, leaky': 'direct64_long-leaky',
    'cnn, without SSIM': 'cnn-no-ssim',
    'base, lr 1e-3, bf16': 'base-lr1e-3-bf16',
    'base, clipped before unscaling': 'base-clipped-before-unscaling',
    'base, lr 1e-3, clipped before unscaling': 'base-lr1e-3-clipped-before-unscaling',
    'base, lr 1e-3, no clipping': 'base-lr1e-3-no-clipping',
    'one network, 359': 'one-network-359',
    'one network with skip, 359': 'one-network-skip-359',
    'lift': 'lift32',
    'lift, no p/L': 'lift32-no-path-mean',
    'lift, no rays': 'lift32-no-rays',
    'lift, no mean volume': 'lift32-no-mean-volume',
    'lift, no copies': 'lift32-no-augmented-copies',
    'lift, L1 alone': 'lift32-l1-alone',
    'lift, attention': 'lift32-attention',
    'lift, physics': 'lift32-physics',
    'lift, unrolled': 'lift32-unrolled',
    'lift, spread': 'lift32-uncertainty',
    'lift, film dropped': 'lift32-view-dropout',
    'lift, views averaged': 'lift32-views-averaged',
    'rival base': 'direct32_matched',
    'rival U-Net': 'dynunet32',
    'rival base, 64³': 'direct64_matched',
    'rival U-Net, 64³': 'dynunet64',
    'quickstart, no mean volume': 'quickstart-no-mean-volume',
    'lift, spread, clip 10': 'lift32-uncertainty-clip-10',
    'lift, nothing idle': 'lift32-no-idle-parts',
    'lift, nothing idle, short memory': 'lift32-no-idle-parts-beta2-0.99',
    'lift, nothing idle, short memory, spread read': 'lift32-no-idle-parts-beta2-0.99-uncertainty-head',
    'lift, spread, no mean volume': 'lift32-uncertainty-no-mean-volume',
    'lift64_varied, shorter': 'lift64_varied-600',
    'lift64_varied, shorter and narrower': 'lift64_varied-600-no-extrapolation'
}  # names of runs become ids
TENSORS = {'film.': 'xray_encoder.', 'reader.': 'uncertainty_head.', 'beside.': 'extra.'}


def renamed(value, keys=KEYS):
    "The same plain value with new keys."
    if isinstance(value, dict):
        return {keys.get(k, k): renamed(v, keys) for k, v in value.items()}
    return [renamed(v, keys) for v in value] if isinstance(value, list) else value


def config(c):
    "A resolved configuration with new names."
    c = renamed(c)
    for old, new in (('base', 'base_model'), ('starts', 'init_from')):
        if old in c:
            c[new] = c.pop(old)
    if 'copies' in c['data']:
        c['data']['augmented_copies'] = c['data'].pop('copies')
    if c['optim'].get('schedule_per') == 'update':
        c['optim']['schedule_per'] = 'step'
    if c['model'].get('axes') == 'film':
        c['model']['axes'] = 'xray'
    if c['model'].get('kind') == 'lift_fine' and 'film' in c['model']:
        c['model']['xray'] = c['model'].pop('film')
    c['recipe'] = RECIPES.get(c['recipe'], c['recipe'])
    for k in ('base_model', 'resume_from', 'init_from'):
        if k in c:
            c[k] = RECIPES.get(c[k], c[k])
    return c


def record(r):
    "A record with new names, its id aside."
    conf, base, starts = r.pop('config'), r.pop('base', None), r.pop('starts', None)
    r = renamed(r) | dict(config=config(conf))
    if base is not None or 'baseline_psnr' in r:
        r['base_model'] = base
    if starts is not None:
        r['init_from'] = starts
    r['recipe'] = RECIPES.get(r['recipe'], r['recipe'])
    return r


def run_names(value):
    "The same plain value with ids in place of the names of runs that hold a blank."
    swap = lambda t: RUNS.get(t, t) if isinstance(t, str) and ' ' in t else t
    if isinstance(value, dict):
        return {swap(k): run_names(v) for k, v in value.items()}
    return [run_names(v) for v in value] if isinstance(value, list) else swap(value)


def write(path, value, **how):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=how.get('ascii', True), sort_keys=how.get('sort', True)) + '\n')


def weights(path, sha_of_base):
    "Rewrite a weights file; the hash of its own tensors."
    with safe_open(path, 'pt') as f:
        meta = f.metadata()
        tensors = {k: f.get_tensor(k) for k in f.keys()}
    new = {}
    for k, v in tensors.items():
        old = next((o for o in TENSORS if k.startswith(o)), '')
        new[TENSORS.get(old, old) + k[len(old) :]] = v
    card = renamed(json.loads(meta['card']))
    if on := card.get('base_weights'):
        on['sha256'] = sha_of_base[on['name']]
    meta = dict(meta, config=json.dumps(config(json.loads(meta['config']))), card=json.dumps(card))
    save_file(new, path, metadata=meta)
    h = b''.join(
        f'{k} {v.dtype} {tuple(v.shape)}'.encode() + v.contiguous().numpy().tobytes()
        for k, v in sorted(new.items())
        if not k.startswith('extra.')
    )
    return hashlib.sha256(h).hexdigest()


def main():
    runs, ids = ROOT / 'results/runs', {}
    records = {p.stem: record(json.loads(p.read_text())) for p in sorted(runs.glob('*.json'))}
    for old, r in records.items():
        try:
            new = run_id(cfg_from_dict(r['config']))
        except InputError as e:
            print(f'{old}: keeps its id ({e})')
            new = old
        ids[old] = new
    taken = {}
    for old in sorted(ids, key=lambda k: (len(k), k)):
        new, k = ids[old], 2
        while new in taken:
            new, k = f'{ids[old]}-{k}', k + 1
        taken[new] = old
        ids[old] = new
    swap = re.compile('|'.join(sorted(map(re.escape, ids), key=len, reverse=True)))
    new_id = lambda text: swap.sub(lambda m: ids[m[0]], text)
    for p in list(runs.glob('*.json')):
        p.unlink()
    for old, r in records.items():
        r = json.loads(new_id(json.dumps(r)))
        r['id'] = ids[old]
        write(runs / f'{ids[old]}.json', r)
    for p in (ROOT / 'results/cases').glob('*.npz'):
        if p.stem in ids:
            p.rename(p.with_name(f'{ids[p.stem]}.npz'))
    for p in [*(ROOT / 'results/scores').glob('*.json'), *(ROOT / 'results/analysis').glob('*.json')]:
        text = new_id(p.read_text())
        value = run_names(renamed(json.loads(text)))
        for name in RECIPES:
            if p.name.startswith(name):
                p.unlink()
                p = p.with_name(p.name.replace(name, RECIPES[name], 1))
                break
        p.write_text(json.dumps(value, indent=1, sort_keys='scores' in p.parts) + '\n')
    plan = renamed(json.loads((ROOT / 'results/arms.json').read_text()))
    for row in plan:
        row['run'] = RUNS.get(row['run'], row['run'])
        row['recipe'] = RECIPES.get(row['recipe'], row['recipe'])
        for k, v in SETTINGS.items():
            if 'set' in row:
                row['set'] = [re.sub(k, v, s) for s in row['set']]
    (ROOT / 'results/runs.json').write_text('[\n' + ',\n'.join(json.dumps(r, ensure_ascii=False) for r in plan) + '\n]\n')
    (ROOT / 'results/arms.json').unlink()
    claims = ROOT / 'results/claims.json'
    rows = renamed(json.loads(new_id(claims.read_text())))
    for row in rows:
        for rule in row['rules']:
            rule['by'] = dict(floor='baseline', arms='runs').get(rule['by'], rule['by'])
            for k in ('run', 'over'):
                rule.update({k: RUNS.get(rule[k], rule[k])} if k in rule else {})
            if 'key' in rule:
                rule['key'] = rule['key'].replace('as_printed', 'as_reported')
    claims.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + '\n')
    shas = {}
    folder = ROOT / 'xray2ct/weights'
    for name in ('lift64', 'lift64_varied', 'lift128', 'lift256'):
        shas[name] = weights(folder / f'{name}.safetensors', shas)
    for p in [*(ROOT / 'nbs').rglob('*.ipynb'), *(ROOT / 'tests').glob('*.py')]:
        text = p.read_text()
        new = new_id(text)
        if new != text:
            p.write_text(new)
    print(f'{len(ids)} records, {sum(a != b for a, b in ids.items())} with a new id')


if __name__ == '__main__':
    main()
