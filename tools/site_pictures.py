"""The reconstruction that the site shows: `python tools/site_pictures.py [RUN_OR_WEIGHTS]`, by default the weights that come
with the package.

Nobody chooses the patient: all of a test cohort are reconstructed, and the one with the median PSNR is shown. Written into
`nbs/assets/case`: prediction.nii.gz and truth_small.nii.gz on the model's grid, truth.nii.gz on a finer one (int16, rounded
to a few HU so that the three stay below 3 MB), strip.png (the axial slices for a browser without WebGL), sweep.webp and
still.png (the moving picture of the home page, and one frame of it), and case.json, which says what all this is.
Typed again with other weights, it replaces everything."""

import argparse, statistics
from dataclasses import replace
from pathlib import Path
import matplotlib, nibabel as nib, numpy as np, torch
from PIL import Image, ImageDraw, ImageFont
from xray2ct.core import InputError, exit_on_input_error, read_json, write_json
from xray2ct.data.dataset import CTDataset
from xray2ct.physics.geometry import Grid, project_points, uv_to_pixel
from xray2ct.metrics import psnr
from xray2ct.core.plot import XRAY_LETTERS, LETTERS, plane
from xray2ct.inference.predictor import in_world, load_predictor
from xray2ct.io.volume import downsample, write_nifti

ROOT = Path(__file__).resolve().parents[1]
DEST, WINDOW, LIMIT = ROOT / 'nbs/assets/case', (-200, 200), 2_600_000
FONT = Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSans.ttf'


def median_patient(predictor, data):
    "The patient with the median PSNR of a cohort, and every score."
    ds = CTDataset(data, None, replace(predictor.cfg.data, cache=''), quiet=True)
    known = set(predictor.training_ids) & set(ds.ids)
    if known:
        raise InputError(
            f'the model learned from {sorted(known)[0]}',
            data,
            'Show it a cohort that it has not seen.',
        )
    rows = []
    with torch.inference_mode():
        for i, patient in enumerate(ds.ids):
            b = ds.batch([i])
            hu, truth = predictor.predict_hu(b).cpu(), b['volume'].float()
            rows.append(dict(patient=patient, i=i, psnr=float(psnr(hu, truth, 'documented')[0])))
    return ds, sorted(rows, key=lambda r: r['psnr'])[len(rows) // 2], rows


def baseline_of(predictor, cohort, row):
    "PSNR of the mean training volume on a patient, from the stored scores of these weights or from their baselines; None if there are neither."
    stored = ROOT / 'results/scores' / f'{predictor.cfg.recipe}-{cohort}.json'
    if stored.exists():
        s = read_json(stored)
        k = next((k for k, c in enumerate(s['cases']) if c['patient'] == row['patient']), None)
        if k is not None and abs(s['cases'][k]['psnr'] - row['psnr']) < 0.02:
            return s['baselines']['mean_volume']['cases'][k]['psnr']
    if predictor.baselines is None:
        return None
    return float(
        psnr(
            predictor.baselines.predict('mean_volume', row['batch']),
            row['batch']['volume'].float(),
            'documented',
        )[0]
    )


def fine_truth(folder, patient):
    "(n,n,n) = [z,y,x] HU of the patient's own file."
    img = nib.as_closest_canonical(nib.load(folder / patient / f'{patient}.nii.gz'))
    return np.asarray(img.dataobj, dtype=np.float32).transpose(2, 1, 0)


def write_volumes(pred, small, fine, fov):
    "Three volumes as small as the limit asks for: fewer levels first, fewer voxels of the fine one after that."
    for n, step in (
        (fine.shape[0], 2),
        (fine.shape[0], 8),
        (fine.shape[0], 16),
        (96, 8),
        (96, 16),
        (64, 8),
        (64, 16),
    ):
        if n > fine.shape[0]:
            continue
        for name, v in (
            ('prediction', pred),
            ('truth_small', small),
            ('truth', downsample(fine, n)),
        ):
            write_nifti(
                step * np.rint(np.clip(v, -1024, 1500) / step),
                Grid(v.shape[-1], fov),
                DEST / f'{name}.nii.gz',
                level=9,
            )
        total = sum(
            (DEST / f'{k}.nii.gz').stat().st_size for k in ('prediction', 'truth_small', 'truth')
        )
        if total < LIMIT:
            return n, step, total
    raise InputError(f'{total:,} bytes are more than the {LIMIT:,} that the site may serve', DEST)


def gray(a, limits, size, smooth=False):
    "A picture of `size` pixels; voxels stay visible unless it is a film."
    a = (
        (255 * ((np.asarray(a, np.float32) - limits[0]) / (limits[1] - limits[0])).clip(0, 1))
        .round()
        .astype(np.uint8)
    )
    return Image.fromarray(np.ascontiguousarray(a)).resize(
        (size, size), Image.BICUBIC if smooth else Image.NEAREST
    )


def slice_at(v, share, size, name='axial'):
    "The slice at `share` (0 inferior or posterior .. 1) of a volume, as a radiologist hangs it."
    return gray(plane(v, name, min(v.shape[0] - 1, int(share * v.shape[0]))), WINDOW, size)


def strip(pred, fine, n=48, size=120):
    "All axial slices, prediction beside truth, one below another."
    out = Image.new('L', (2 * size + 4, n * size))
    for k in range(n):
        for j, v in enumerate((pred, fine)):
            out.paste(slice_at(v, (k + 0.5) / n, size), (j * (size + 4), k * size))
    out.quantize(32).save(DEST / 'strip.png', optimize=True)
    return dict(slices=n, size=size, gap=4)


def frame(xrays, pred, fine, share, name, rows):
    "One frame: two films with the slice's place, then prediction and truth."
    W, H, S, F = 760, 316, 280, 128
    im = Image.new('L', (W, H), 12)
    d = ImageDraw.Draw(im)
    font, small = (ImageFont.truetype(str(FONT), k) for k in (14, 11))
    for j, (xray, view) in enumerate(zip(xrays, ('frontal', 'lateral'))):
        y = 30 + j * (F + 24)
        im.paste(xray, (14, y))
        d.text((14, y - 17), f'{view} X-ray', 190, small)
        if rows[j] is not None:
            d.line((14, y + rows[j], 14 + F, y + rows[j]), 255, 1)
    for j, (title, v) in enumerate(
        ((f'reconstruction, {pred.shape[0]}³ voxels', pred), ('truth', fine))
    ):
        x = 164 + j * (S + 16)
        im.paste(slice_at(v, share, S, name), (x, 28))
        d.text((x, 8), title, 235, font)
        l, r, t, b = LETTERS[name]
        for text, p in (
            (l, (x + 4, 28 + S // 2 - 8)),
            (r, (x + S - 14, 28 + S // 2 - 8)),
            (t, (x + S // 2 - 4, 30)),
            (b, (x + S // 2 - 4, 28 + S - 18)),
        ):
            d.text(p, text, 200, small)
    return im


def sweep(pred, fine, xrays, matrices, fov, n=40):
    "The moving picture: axial slices from the bottom up, then coronal ones from back to front."
    limits = [(float(f.min()), float(np.quantile(f, 0.995))) for f in xrays]
    pics = [gray(f, lim, 128, True) for f, lim in zip(xrays, limits)]
    frames = []
    for name in ('axial', 'coronal'):
        for k in range(n):
            share = 0.08 + 0.84 * (k + 0.5) / n
            mm = (share - 0.5) * fov
            uv = project_points(matrices, torch.tensor([[0.0, 0.0, mm]]))[0][:, 0]
            rows = (
                [float(r) for r in uv_to_pixel(uv, 128)[:, 1]] if name == 'axial' else [None, None]
            )
            f = frame(pics, pred, fine, share, name, rows)
            if name == 'coronal':  # a coronal slice is a line on the lateral film alone
                c = float(
                    uv_to_pixel(
                        project_points(matrices, torch.tensor([[0.0, mm, 0.0]]))[0][1, 0], 128
                    )[0]
                )
                ImageDraw.Draw(f).line((14 + c, 182, 14 + c, 182 + 128), 255, 1)
            frames.append(f)
    frames[n // 2].save(DEST / 'still.png', optimize=True)
    frames = [f.convert('RGB') for f in frames]
    for quality in (75, 60, 45, 30):
        frames[0].save(
            DEST / 'sweep.webp',
            save_all=True,
            append_images=frames[1:],
            duration=110,
            loop=0,
            quality=quality,
            method=4,
        )
        if (DEST / 'sweep.webp').stat().st_size < 600_000:
            return len(frames)
    raise InputError('the moving picture is larger than 600 kB', DEST)


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        'weights',
        nargs='?',
        default='lift64',
        help='run folder, weights, or the name of shipped ones',
    )
    p.add_argument(
        '--data', default='data/virtual_test', help='a cohort that the model has not seen'
    )
    a = p.parse_args()
    with exit_on_input_error():
        if not Path(a.data).is_dir():
            raise InputError(
                'no such cohort', a.data, 'Make it: xray2ct-cohort virtual_test data/virtual_test'
            )
        predictor = load_predictor(a.weights)
        ds, row, rows = median_patient(predictor, Path(a.data))
        b = ds.batch([row['i']])
        baseline = baseline_of(predictor, Path(a.data).name, row | dict(batch=b))
        fov = float(b['geometry']['fov_mm'][0])
        with torch.inference_mode():
            pred = in_world(predictor.predict_hu(b)[0, 0].cpu(), predictor.cfg).numpy()
        small, fine = (
            in_world(b['volume'][0, 0].float(), predictor.cfg).numpy(),
            fine_truth(Path(a.data), row['patient']),
        )
        DEST.mkdir(parents=True, exist_ok=True)
        n, step, total = write_volumes(pred, small, fine, fov)
        xrays = [x.numpy() for x in b['xrays'][0, :, 0]]
        frames = sweep(pred, fine, xrays, b['geometry']['matrices'][0], fov)
        cfg = predictor.cfg
        case = dict(
            patient=row['patient'],
            cohort=Path(a.data).name,
            rule=f'the median of {len(rows)} patients by PSNR',
            psnr=round(row['psnr'], 2),
            mean_volume_psnr=None if baseline is None else round(baseline, 2),
            protocol='documented',
            mean_psnr=round(statistics.mean(r['psnr'] for r in rows), 2),
            recipe=cfg.recipe,
            scale=cfg.scale,
            weights=predictor.card.get('name') or predictor.path.parent.name,
            file=predictor.path.name,
            steps=predictor.card.get('step', cfg.train.steps),
            voxels=pred.shape[0],
            fov_mm=fov,
            truth_voxels=n,
            rounded_to_hu=step,
            window=list(WINDOW),
            strip=strip(pred, fine),
            frames=frames,
        )
        write_json(case, DEST / 'case.json')
        sizes = {f.name: f.stat().st_size for f in sorted(DEST.iterdir())}
        for k, v in sizes.items():
            print(f'{v:>10,} {k}')
        print(
            f'{sum(sizes.values()):>10,} in all; {case["patient"]}: {case["psnr"]} dB, the mean volume has {case["mean_volume_psnr"]} dB; {case["rule"]}'
        )


if __name__ == '__main__':
    main()
