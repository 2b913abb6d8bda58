"""Seeded mutations of small valid inputs for every command.

    python tests/fuzz.py [TOOL ...] [--seed 0] [--count 30] [--first 0]

A case depends on the tool, the seed and its number alone: `--first 17 --count 1` runs case 17 again and shows what was said. The command runs in a
forked child. It must end with exit code 0, 1 or 2 and without a traceback, below 2 GB of memory. It must leave its inputs as they were, and every
output whole or absent.
"""

import argparse, ctypes, faulthandler, gzip, hashlib, importlib, json, math, os, random, shutil, signal, stat, struct, sys, tempfile, traceback
from functools import partial
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')  # a forked child has none of its parent's threads
import nibabel as nib, numpy as np, pydicom, SimpleITK as sitk, torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from tqdm import tqdm
from xray2ct.config import cfg_to_dict
from xray2ct.core import write_json
from xray2ct.data import cohort as cohort_module
from xray2ct.data.dataset import toy_dataset
from xray2ct.data.checks import examine
from xray2ct.data.patients import patient_files
from xray2ct.data.prepare import PrepareCfg, prepare_ct
from xray2ct.evaluation.baselines import fit_baselines
from xray2ct.evaluation.scoring import evaluate
from xray2ct.inference.predictor import load_predictor
from xray2ct.io.volume import hu_to_unit, write_nifti
from xray2ct.models import build_model
from xray2ct.physics.geometry import Geometry, Grid
from xray2ct.physics.geometry_file import geometry_to_dict
from xray2ct.recipes import get_recipe
from xray2ct.training.checkpoints import save_weights
from xray2ct.training.logging import MetricsLogger

MAX_BYTES = 2_000_000_000
MAX_SECONDS = 120

# ---- valid inputs ---------------------------------------------------------------------------------------------------------------------------


def write_dicom(folder, hu):
    "An axial series of the volume (x,y,z) in RAS order, explicit little endian."
    folder.mkdir()
    for k in range(hu.shape[2]):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = '1.2.840.10008.1.2.1'
        d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = '1.2.840.10008.5.1.4.1.1.2'
        d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = f'1.2.3.4.{k}'
        d.ImageType = ['ORIGINAL', 'PRIMARY', 'AXIAL']
        d.Modality = 'CT'
        d.PatientID, d.StudyInstanceUID, d.SeriesInstanceUID, d.InstanceNumber = 'P1', '1.2.3', '1.2.3.4', k + 1
        d.Rows, d.Columns = hu.shape[1], hu.shape[0]
        d.PixelSpacing, d.ImageOrientationPatient = ['22.5', '22.5'], ['1', '0', '0', '0', '1', '0']
        d.ImagePositionPatient = ['0', '0', f'{22.5 * k:g}']
        d.RescaleSlope, d.RescaleIntercept = '1', '-1024'
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, 'MONOCHROME2'
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 1
        d.PixelData = np.rint(hu[::-1, ::-1, k].T + 1024).astype('<i2').tobytes()
        d.save_as(folder / f'IM{k:03d}.dcm', enforce_file_format=True)


def write_radiograph(path, picture):
    "A DICOM radiograph of 8-bit gray values."
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = '1.2.840.10008.1.2.1'
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = '1.2.840.10008.5.1.4.1.1.1.1'
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = '1.2.3.5'
    d.Modality, d.Rows, d.Columns = 'DX', *picture.shape
    d.ImagerPixelSpacing, d.RescaleSlope, d.RescaleIntercept = ['13.75', '13.75'], '1', '0'
    d.WindowCenter, d.WindowWidth, d.PixelIntensityRelationship, d.PixelIntensityRelationshipSign = '128', '256', 'LOG', -1
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, 'MONOCHROME2'
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
    d.PixelData = picture.astype('<u2').tobytes()
    d.save_as(path, enforce_file_format=True)


def as_picture(xray):
    "An X-ray as 8-bit gray values."
    return np.rint(255 * (xray - xray.min()) / np.ptp(xray)).astype(np.uint8)


def write_cohort(root, dataset):
    "Patient folders with arrays, pictures, geometry.json and split.json."
    for i, patient in enumerate(dataset.ids):
        folder = root / patient
        folder.mkdir(parents=True)
        write_nifti(dataset[i]['volume'][0], Grid(16), folder / f'{patient}.nii.gz')
        for view, xray in zip(('pa', 'lat'), dataset[i]['xrays'][:, 0].numpy()):
            np.save(folder / f'{patient}_{view}.npy', xray)
            Image.fromarray(as_picture(xray)).save(folder / f'{patient}_{view}_drr.png')
        write_json(geometry_to_dict(Geometry(pixels=32)), folder / 'geometry.json')
    train, validation, test = dataset.ids[:2], dataset.ids[2:3], dataset.ids[3:]
    write_json(dict(train=train, validation=validation, test=test), root / 'split.json')


def write_run(run, learned, cohort, dataset):
    "A run as training leaves it, scored on the patients of a cohort."
    cfg = get_recipe('smoke')
    baselines = fit_baselines(learned)
    torch.manual_seed(0)
    model = build_model(cfg.model)
    model.set_mean_volume(hu_to_unit(baselines.mean_volume, cfg.target)[None, None])
    save_weights(model, cfg, run / 'model.safetensors', dict(training_ids=learned.ids))
    baselines.save(run / 'baselines.safetensors')
    predictor = load_predictor(run)
    result = evaluate(predictor.predict_hu, dataset, 'documented', predictor.baselines, progress=False)
    write_json(result, run / 'scores.json')
    write_json(dict(wall_s=9.0, processes=1, samples_per_s=1.0, wait_fraction=0.1, machine=dict(cpu='x')), run / 'record.json')
    logger = MetricsLogger(run)
    logger.write([dict(step=s, val_psnr=10.0 + s / 10, baseline_psnr=14.0) for s in (20, 40, 60)])
    logger.close()
    write_json(cfg_to_dict(cfg), run.parent / 'config.json')


def write_templates(root):
    "Small valid inputs of every kind."
    learned, new = toy_dataset(8, n=16, pixels=32, seed=1), toy_dataset(4, n=16, pixels=32, seed=2)
    hu = new[0]['volume'][0].numpy().transpose(2, 1, 0)
    xrays = dict(zip(('pa', 'lat'), new[0]['xrays'][:, 0].numpy()))
    (root / 'scans').mkdir(parents=True)
    image = nib.Nifti1Image(np.rint(hu).astype(np.int16), Grid(16).affine)
    nib.save(image, root / 'scans' / 'scan.nii.gz')
    nib.save(image, root / 'scans' / 'scan.nii')
    for suffix in ('nrrd', 'mha', 'mhd'):
        sitk.WriteImage(sitk.ReadImage(root / 'scans' / 'scan.nii'), root / 'scans' / f'scan.{suffix}')
    write_dicom(root / 'scans' / 'dicom', hu)
    (root / 'xrays').mkdir()
    for view, xray in xrays.items():
        picture = as_picture(xray)
        np.save(root / 'xrays' / f'{view}.npy', xray)
        for suffix in ('png', 'jpg', 'tif', 'bmp'):
            Image.fromarray(picture).save(root / 'xrays' / f'{view}.{suffix}')
        write_radiograph(root / 'xrays' / f'{view}.dcm', picture)
    write_json(geometry_to_dict(Geometry(pixels=32)), root / 'xrays' / 'geometry.json')
    write_cohort(root / 'cohort', new)
    write_cohort(root / 'pair', new.subset(new.ids[:2]))
    write_run(root / 'run', learned, root / 'cohort', new)


# ---- mutations of a file --------------------------------------------------------------------------------------------------------------------

ODD_VALUES = [None, True, -1, 0, 1, 2.5, 1e308, 10**30, math.nan, math.inf, '', 'x', 'ü\n', [], {}, [[]], [1], {'a': 1}, '../..', '\0', 'a' * 5000]
ODD_TEXTS = [b'', b'0', b'-1', b'nan', b'1e400', b'1,5', b'x', b'\xff\xfe', b'1\\2\\3', b'99999999999', b'\0' * 8, b' ']
ODD_NAMES = ['a b', 'ü', 'a%20b', 'a\nb', '-o', '.hidden', 'a' * 200, '[1]', 'A.NII.GZ.txt', "it's", '$(x)', os.fsdecode(b'M\xfcller'), 'x.dcm', 'x.npy', 'x.nii']


def mutate_bytes(rng, data):
    "Other bytes in place of some, fewer, or more."
    data = bytearray(data)
    how = rng.choice(['flip', 'head', 'cut', 'block', 'append', 'empty', 'repeat', 'random'])
    if how == 'empty' or not data:
        return b''
    start = rng.randrange(len(data))
    if how in ('flip', 'head'):
        limit = min(len(data), 400) if how == 'head' else len(data)
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            data[rng.randrange(limit)] = rng.randrange(256)
    elif how == 'cut':
        del data[start:]
    elif how == 'block':
        n = rng.choice([1, 4, 64, 1024])
        data[start : start + n] = bytes([rng.choice([0, 255])]) * n
    elif how == 'append':
        data += rng.randbytes(rng.choice([1, 100, 5000]))
    elif how == 'repeat':
        data[start:start] = data[start : start + 200]
    else:
        data = rng.randbytes(len(data))
    return bytes(data)


NIFTI_FIELDS = [  # offset, format, how many
    (0, 'i', 1), (40, 'h', 8), (70, 'h', 1), (72, 'h', 1), (76, 'f', 8), (108, 'f', 1), (112, 'f', 1), (116, 'f', 1),
    (123, 'B', 1), (252, 'h', 1), (254, 'h', 1), (256, 'f', 6), (280, 'f', 12), (344, '4s', 1),
]  # fmt: skip


def mutate_nifti(rng, data):
    "One or two fields of the header."
    packed = data[:2] == b'\x1f\x8b'
    data = bytearray(gzip.decompress(data) if packed else data)
    for _ in range(rng.choice([1, 1, 2])):
        offset, kind, n = rng.choice(NIFTI_FIELDS)
        offset += rng.randrange(n) * struct.calcsize(kind)
        value = dict(
            i=rng.choice([0, -1, 347, 2**31 - 1]),
            h=rng.choice([-32768, -1, 0, 1, 2, 4, 7, 8, 16, 64, 255, 768, 1024, 32767]),
            f=rng.choice([math.nan, math.inf, -math.inf, 0.0, -1.0, 1.0, 1e30, 1e-30, 1000.0, rng.uniform(-50, 50)]),
            B=rng.randrange(256),
        ).get(kind, rng.randbytes(4))
        struct.pack_into(f'<{kind}', data, offset, value)
    return gzip.compress(data, 1) if packed else bytes(data)


def dicom_elements(data):
    "(offset of the value, length, VR) of the elements of an explicit little-endian file, without sequences."
    at, found = 132, []
    while at + 8 <= len(data):
        vr = data[at + 4 : at + 6]
        if vr in (b'OB', b'OW', b'UN', b'SQ', b'UT'):
            n, at = struct.unpack_from('<I', data, at + 8)[0], at + 12
        else:
            n, at = struct.unpack_from('<H', data, at + 6)[0], at + 8
        found.append((at, n, vr))
        at += n
    return found


def mutate_dicom(rng, data):
    "The value of one element, or the element itself."
    data = bytearray(data)
    at, n, vr = rng.choice([e for e in dicom_elements(data) if e[1] < 1000])
    if rng.random() < 0.15:
        del data[at - 8 : at + n]
        return bytes(data)
    if vr in (b'US', b'SS', b'UL'):
        data[at : at + n] = rng.choice([bytes(n), b'\xff' * n, rng.randbytes(n), b'\x01' + bytes(n - 1)])
        return bytes(data)
    value = rng.choice(ODD_TEXTS)
    value += b' ' * (len(value) % 2)
    data[at : at + n] = value
    if vr not in (b'OB', b'OW', b'UN', b'SQ', b'UT'):
        struct.pack_into('<H', data, at - 2, len(value))
    return bytes(data)


def mutate_header(rng, data):
    "One word of a text header in front of voxels."
    head, blank, rest = data.partition(b'ElementDataFile') if b'ElementDataFile' in data else data.partition(b'\n\n')
    words = head.split(b' ')
    words[rng.randrange(len(words))] = rng.choice([*ODD_TEXTS, b'999999999', b'MET_USHORT', b'MET_DOUBLE', b'gzip'])
    return b' '.join(words) + blank + rest


def mutate_array(rng, path):
    "An array of another type, shape or range."
    a = np.load(path)
    how = rng.choice(['dtype', 'shape', 'value', 'scale', 'bytes'])
    if how == 'dtype':
        a = a.astype(rng.choice(['?', 'i1', 'u1', 'i8', 'f2', 'f8', 'c8', 'S5', 'U5', 'O', 'M8[s]', '>f4']))
    elif how == 'shape':
        a = rng.choice([a[0], a[None], a[..., None], a[:0], a[:3], a.ravel(), np.stack([a] * 3), np.float32(3), a[:, ::2], a.T])
    elif how == 'value':
        a.flat[rng.randrange(a.size)] = rng.choice([math.nan, math.inf, -math.inf, -1e30, 1e30])
    elif how == 'scale':
        a = a * rng.choice([-1, 0, 1e-9, 1e9, 1e30, 255, 65535]) + rng.choice([0, 1, -1, 1000])
    if how != 'bytes':
        np.save(path, a, allow_pickle=True)
        return
    header = path.read_bytes().replace(b'(32, 32)', rng.choice([b'(99999999, 99999999)', b'(-1, 32)', b'(32,)', b'32', b'(32, 0)', b'("a", 2)']))
    path.write_bytes(header)


def nodes_of(value):
    "(container, key) of everything inside a JSON value."
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from nodes_of(item)


def mutate_value(rng, value):
    "A JSON value with one node replaced, removed, renamed or doubled."
    nodes = list(nodes_of(value))
    if not nodes or rng.random() < 0.05:
        return rng.choice(ODD_VALUES)
    by_depth = [n for n in nodes if not isinstance(n[1], int) or rng.random() < 0.2]
    container, key = rng.choice(by_depth or nodes)
    how = rng.choice(['odd', 'odd', 'odd', 'remove', 'rename', 'scale', 'double'])
    if how == 'remove':
        del container[key]
    elif how == 'rename' and isinstance(container, dict):
        container[rng.choice(['x', '', key + '_'])] = container.pop(key)
    elif how == 'scale' and isinstance(container[key], (int, float)):
        container[key] *= rng.choice([-1, 1e-3, 1000, 1e300])
    elif how == 'double' and isinstance(container[key], list):
        container[key] = container[key] * 2
    else:
        container[key] = rng.choice(ODD_VALUES)
    return value


def mutate_json(rng, data):
    "A JSON file with other values, or other bytes."
    if rng.random() < 0.15:
        return mutate_bytes(rng, data)
    if rng.random() < 0.05:
        return rng.choice([b'\xef\xbb\xbf' + data, b'[' * 5000, data.decode().encode('utf-16'), b'{"a": 1, "a": 2}'])
    return json.dumps(mutate_value(rng, json.loads(data))).encode()


def mutate_safetensors(rng, data):
    "The JSON in front of the tensors."
    (n,) = struct.unpack('<Q', data[:8])
    header = json.loads(data[8 : 8 + n])
    meta = header['__metadata__']
    where = rng.choice([*meta, 'header', 'length'])
    if where == 'length':
        return struct.pack('<Q', rng.choice([0, 1, n + 1, 2**40, 2**64 - 1])) + data[8:]
    if where == 'header':
        header = mutate_value(rng, header)
    elif where == 'format':
        meta[where] = rng.choice(['', 'pt', 'x'])
    else:
        meta[where] = json.dumps(mutate_value(rng, json.loads(meta[where])))
    text = json.dumps(header).encode()
    return struct.pack('<Q', len(text)) + text + data[8 + n :]


def mutate_content(rng, path):
    "Change what a file holds, as its kind suggests."
    kind = path.name.split('.', 1)[-1]
    if rng.random() < 0.3:
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))
    elif kind == 'npy':
        mutate_array(rng, path)
    else:
        by_kind = dict(json=mutate_json, nii=mutate_nifti, dcm=mutate_dicom, nrrd=mutate_header, mha=mutate_header, mhd=mutate_header)
        by_kind |= {'nii.gz': mutate_nifti, 'safetensors': mutate_safetensors}
        path.write_bytes(by_kind.get(kind, mutate_bytes)(rng, path.read_bytes()))


def mutate_place(rng, path):
    "Change the name, the kind or the permissions of a file or folder; returns its new path."
    how = rng.choice(['rename', 'rename', 'suffix', 'mode', 'folder', 'link', 'loop', 'dangling', 'gone', 'pipe'])
    if how in ('rename', 'suffix'):
        name = rng.choice(ODD_NAMES)
        new = path.with_name(path.name + name.replace('\n', '') if how == 'suffix' else name)
        if not new.exists():
            path.rename(new)
            return new
        return path
    if how == 'mode':
        path.chmod(rng.choice([0, 0o444, 0o111, 0o222]))
        return path
    aside = path.with_name('aside')
    path.rename(aside)
    if how == 'folder':
        path.mkdir()
    elif how == 'link':
        path.symlink_to(aside)
    elif how == 'loop':
        path.symlink_to(path)
    elif how == 'dangling':
        path.symlink_to('nothing')
    elif how == 'pipe':
        os.mkfifo(path)
    return path


# ---- cases of the tools ---------------------------------------------------------------------------------------------------------------------

ODD_OPTIONS = ['', '-1', '0', '1', '3', '16', 'nan', 'inf', '1e9', 'x', '1,2', '1,2,3', '1,-1024', 'none', '0/0', '2/1', '1/2', 'ü', '--json', 'a\nb']


class Case:
    "One mutated input: the words of the command line and the files that it may write."

    def __init__(self, tool, seed, number, templates, folder):
        self.rng = random.Random(f'{tool} {seed} {number}')
        self.templates, self.folder = templates, folder
        self.words, self.outputs = [], []
        TOOLS[tool][1](self)

    def take(self, *names):
        "Copies of templates in the folder of the case."
        for name in names:
            source, target = self.templates / name, self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        return [self.folder / name for name in names]

    def mutate(self, path):
        "Mutate one file below a path, or the path itself; returns the path to give to the command."
        files = sorted(p for p in path.rglob('*') if p.is_file()) if path.is_dir() else [path]
        if self.rng.random() < 0.2:
            at = self.rng.choice([path, *files])
            new = mutate_place(self.rng, at)
            return new if at == path else path
        mutate_content(self.rng, self.rng.choice(files))
        return path

    def option(self, *names, chance=0.25):
        "Sometimes an option with an odd value."
        if self.rng.random() < chance:
            self.words += [f'{self.rng.choice(names)}={self.rng.choice(ODD_OPTIONS)}']

    def output(self, name, check):
        "A path to write; sometimes one that cannot be written."
        path = self.folder / 'out' / name
        how = self.rng.choice(['new'] * 24 + ['below_file', 'folder', 'read_only', 'exists'])
        if how == 'below_file':
            (self.folder / 'out').touch()
        elif how == 'folder':
            path.mkdir(parents=True)
            return path
        elif how == 'read_only':
            path.parent.mkdir(mode=0o555)
        elif how == 'exists':
            path.parent.mkdir()
            path.touch()
        self.outputs.append((path, check))
        return path


def check_nifti(path):
    "A NIfTI volume is whole."
    values = np.asarray(nib.load(path).dataobj)
    assert values.ndim == 3 and values.size


def check_json(path):
    "A JSON file is whole."
    json.loads(path.read_text(encoding='utf-8'))


def check_html(path):
    "A page is whole."
    assert path.read_text(encoding='utf-8').rstrip().endswith('</html>')


def check_weights(path):
    "A file of weights is whole."
    load_predictor(path)


def check_patients(dest):
    "Every patient folder is sealed and can be read."
    for folder in dest.iterdir() if dest.is_dir() else ():
        if folder.is_dir() and not folder.name.startswith('.'):
            check_json(folder / 'geometry.json')
            check_nifti(folder / f'{folder.name}.nii.gz')
            for array in folder.glob('*.npy'):
                assert np.load(array).ndim == 2


def prepare_case(case):
    "Files, or a folder of them."
    kind = case.rng.choice(['scan.nii.gz', 'scan.nii', 'scan.nrrd', 'scan.mha', 'scan.mhd', 'dicom', 'dicom', ''])
    (source,) = case.take(f'scans/{kind}' if kind else 'scans')
    if kind == 'scan.mhd':
        case.take('scans/scan.raw')
    source = case.mutate(source)
    dest = case.output('prepared', check_patients)
    case.words = ['--size', '16', '--pixels', '16']
    case.option('--fov-mm', '--size', '--pixels', '--center', '--rescale', '--padding', '--geometry', '--shard', '--workers')
    case.words += [source, dest]


def doctor_case(case):
    "A cohort."
    (data,) = case.take(case.rng.choice(['pair'] * 5 + ['cohort']))
    case.words = [case.mutate(data)]
    if case.rng.random() < 0.2:
        case.mutate(data) if data.exists() else None
    case.words += case.rng.choice([[], [], ['--json']])


def predict_case(case):
    "Two X-rays, weights, perhaps a geometry."
    suffix = {view: case.rng.choice(['npy', 'npy', 'png', 'jpg', 'tif', 'bmp', 'dcm']) for view in ('pa', 'lat')}
    names = [f'xrays/pa.{suffix["pa"]}', f'xrays/lat.{suffix["lat"]}', 'xrays/geometry.json', 'run/model.safetensors', 'run/baselines.safetensors']
    files = case.take(*names)
    victim = case.rng.choice([0, 0, 0, 1, 1, 1, 2, 2, 3, 4])
    files[victim] = case.mutate(files[victim])
    output = case.output('volume.nii.gz', check_nifti)
    weights = case.rng.choice([files[3], case.folder / 'run'])
    case.words = ['--frontal', files[0], '--lateral', files[1], '-o', output, '--weights', weights]
    if case.rng.random() < 0.3:
        case.words += ['--geometry', files[2]]
    case.option('--size', '--refine', '--uncertainty', '--geometry', '--weights')


def evaluate_case(case):
    "A run, a cohort, perhaps an earlier result."
    run, data = case.take('run', 'cohort')
    earlier = run / 'scores.json'
    victim = case.rng.choice(['data'] * 4 + ['run', 'earlier'])
    if victim == 'earlier':
        earlier = case.mutate(earlier)
    elif victim == 'run':
        run = case.mutate(run)
    else:
        data = case.mutate(data)
    case.words = [run, data, '--json', case.output('scores.json', check_json), '--split', case.rng.choice(['all', 'all', 'test', 'validation'])]
    if victim == 'earlier':
        case.words += ['--compare', earlier]
    case.option('--protocol', '--split', '--drop-view', '--compare', chance=0.15)


def report_case(case):
    "A scored run."
    run, data = case.take('run', 'cohort')
    if case.rng.random() < 0.3:
        data = case.mutate(data)
    else:
        name = case.rng.choice(['scores.json'] * 3 + ['record.json', 'metrics.jsonl', 'model.safetensors', 'baselines.safetensors'])
        case.mutate(run / name)
    case.words = [run, '--data', data, '--out', case.output('report.html', check_html)]


def export_case(case):
    "A finished run and its cohort."
    run, data = case.take('run', 'cohort')
    if case.rng.random() < 0.5:
        run = case.mutate(run)
    else:
        data = case.mutate(data)
    out = case.output('weights', lambda folder: [check_weights(f) for f in folder.glob('*.safetensors')])
    case.words = [run, case.rng.choice(['tiny', 'tiny', *ODD_NAMES]), '--data', data, '--out', out]
    case.option('--scores', '--refined')


def cohort_case(case):
    "A range of seeds, and a destination that may hold something."
    name = case.rng.choice(['0:1', '0:1', '5:6', '3:2', '0:', ':', '0:999999999', '-1:1', 'virtual10', '٣:٤', *ODD_OPTIONS])
    dest = case.output('cohort', check_patients)
    case.words = ['--workers', '1']
    if case.rng.random() < 0.5 and not dest.parent.exists():
        dest.mkdir(parents=True)
        label = dict(name='0:1', scale='mini', size=32, pixels=16, seeds=[0, 1])
        (dest / 'cohort.json').write_bytes(mutate_json(case.rng, json.dumps(label).encode()))
    case.option('--scale', '--shard', '--workers')
    case.words += [name, dest] if not name.startswith('-') else [dest, '--', name]


def train_case(case):
    "A configuration that is resolved, or a cohort that is trained on for a step."
    (config, data) = case.take('config.json', 'cohort')
    if case.rng.random() < 0.7:
        case.words = [case.mutate(config), '--dry-run']
        if case.rng.random() < 0.4:
            key = case.rng.choice(['optim.lr', 'train.steps', 'data.n', 'data.views', 'model.widths', 'loss.mse', 'seed', 'x.y', '', 'target.lo'])
            case.words.append(f'{key}={case.rng.choice(ODD_OPTIONS)}')
    else:
        victim = case.rng.choice([0, 1, 1])
        paths = [config, data]
        paths[victim] = case.mutate(paths[victim])
        settings = ['train.steps=1', 'train.batch=1', 'train.tensorboard=False', 'data.split=file']
        case.words = [paths[0], '--data', paths[1], '--runs', case.folder / 'runs', '--results', case.folder / 'results', '--device', 'cpu', *settings]


TOOLS = dict(
    prepare=('xray2ct.data.prepare', prepare_case),
    doctor=('xray2ct.data.checks', doctor_case),
    predict=('xray2ct.inference.predictor', predict_case),
    evaluate=('xray2ct.inference.evaluate', evaluate_case),
    report=('xray2ct.inference.report', report_case),
    export=('xray2ct.inference.export', export_case),
    cohort=('xray2ct.data.cohort', cohort_case),
    train=('xray2ct.train', train_case),
)

# ---- running a case -------------------------------------------------------------------------------------------------------------------------


def drop_capabilities():
    "Let the permissions of files count for root too."
    if os.geteuid() == 0 and sys.platform == 'linux':
        libc = ctypes.CDLL(None, use_errno=True)
        libc.capset(ctypes.byref((ctypes.c_uint32 * 2)(0x20080522, 0)), ctypes.byref((ctypes.c_uint32 * 6)()))


def run_child(main, words, folder, log):
    "Call the command as its console script would, and end this process."
    code = 1
    try:
        os.chdir(folder)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        drop_capabilities()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(MAX_SECONDS)
        faulthandler.dump_traceback_later(MAX_SECONDS - 2, file=2)  # where it hangs
        sys.argv = ['command', *map(os.fspath, words)]
        script = os.path.join(tempfile.gettempdir(), 'command')
        exec(compile('main()', script, 'exec'), dict(__name__='__main__', __file__=script, main=main))  # as pip's script does
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def walk(folder):
    "Every path below a folder, without following links, after giving the permissions back."
    for root, folders, names in os.walk(folder):
        for name in folders + names:
            path = Path(root) / name
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.lstat().st_mode) | 0o700)
            yield path


def snapshot(folder):
    "Hash of every file and its mode."
    found = {}
    for root, _, names in os.walk(folder):
        for path in (Path(root) / name for name in names):
            if path.is_file() and not path.is_symlink():
                found[path] = hashlib.md5(path.read_bytes()).hexdigest()
    return found


def faults_of(case, before, status, usage, said):
    "What is wrong with the end of a command."
    faults = []
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1, 2):
        faults.append(f'exit code {code}')
    if 'Traceback (most recent call last)' in said:
        faults.append('a traceback: ' + said.strip().splitlines()[-1][:200])
    elif code == 1 and 'wrong' not in said:
        faults.append('exit code 1 and nothing found')
    if code == 2 and 'error' not in said:
        faults.append('exit code 2 without a reason')
    if usage.ru_maxrss * 1024 > MAX_BYTES:
        faults.append(f'{usage.ru_maxrss / 1e6:.1f} GB of memory')
    faults += [f'left behind: {p.name}' for p in walk(case.folder) if p.name.startswith('.part-')]
    after = snapshot(case.folder)
    changed = [p.relative_to(case.folder) for p in before if after.get(p) != before[p]]
    faults += [f'input changed: {p}' for p in changed if p.parts[0] != 'out']
    for path, check in case.outputs:
        if not path.is_file() and not path.is_dir():
            if code == 0:
                faults.append(f'exit code 0 without {path.name}')
            continue
        try:
            check(path) if path.stat().st_size or path.is_dir() else None
        except Exception as e:
            faults.append(f'{path.name} is not whole ({type(e).__name__}: {e})')
    return faults


def run_case(tool, seed, number, templates, folder):
    "(faults, words, what was said) of one case."
    folder.mkdir(parents=True)
    case = Case(tool, seed, number, templates, folder)
    modes = {p: p.lstat().st_mode for p in folder.rglob('*') if not p.is_symlink()}
    before = snapshot(folder)
    for path, mode in modes.items():
        path.chmod(stat.S_IMODE(mode))
    main = importlib.import_module(TOOLS[tool][0]).main
    with tempfile.TemporaryFile() as log:
        child = os.fork()
        if not child:
            run_child(main, case.words, folder, log.fileno())
        _, status, usage = os.wait4(child, 0)
        log.seek(0)
        said = log.read().decode(errors='backslashreplace')
    faults = faults_of(case, before, status, usage, said)
    words = ' '.join(repr(os.fspath(w)).replace(f'{folder}/', '') for w in case.words)
    return dict(faults=faults, words=words, said=said, code=os.waitstatus_to_exitcode(status), megabytes=usage.ru_maxrss // 1024, seconds=usage.ru_utime + usage.ru_stime)


def warm_up(root):
    "What every process computes once, such as the average chest: the forked children share it."
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0  # a thread of the parent would not live in its children
    cohort_module.SCALES = dict(mini=(32, 16), full=(32, 32))  # the sizes do not matter here
    for source in ('scan.nii.gz', 'dicom'):
        cfg = PrepareCfg(size=16, pixels=16)
        prepare_ct(root / 'templates' / 'scans' / source, root / 'warm' / source, cfg, Geometry(pixels=16))
    examine(patient_files(next((root / 'templates' / 'pair').glob('toy*'))))


def fuzz(tools, seed, count, first=0, log=partial(print, flush=True)):
    "Tool -> (number of cases, exit codes, failed cases)."
    found = {}
    with tempfile.TemporaryDirectory(prefix='fuzz-') as d:
        write_templates(Path(d) / 'templates')
        warm_up(Path(d))
        for tool in tools:
            codes, failed, seconds, most = {}, [], 0.0, 0
            for number in range(first, first + count):
                folder = Path(d) / f'{tool}{number}'
                result = run_case(tool, seed, number, Path(d) / 'templates', folder)
                codes[result['code']] = codes.get(result['code'], 0) + 1
                seconds += result['seconds']
                most = max(most, result['megabytes'])
                if result['faults']:
                    failed.append(dict(result, number=number))
                    log(f'{tool} {number}: {"; ".join(result["faults"])}\n  $ {result["words"]}')
                if result['faults'] and count == 1 or '-v' in sys.argv:
                    log(f'{tool} {number} [{result["code"]}] {result["words"]}\n{result["said"]}')
                shutil.rmtree(folder, ignore_errors=True)
            found[tool] = dict(cases=count, codes=codes, failed=failed)
            log(f'{tool}: {count} cases, exit codes {codes}, {len(failed)} failed; {seconds:.0f} s of CPU, {most} MB')
    return found


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('tools', nargs='*', metavar='TOOL', help=', '.join(TOOLS))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--count', type=int, default=30)
    parser.add_argument('--first', type=int, default=0)
    parser.add_argument('-v', action='store_true', help='show what was said in every case')
    parser.add_argument('--json', type=Path, help='file for the result')
    options = parser.parse_args()
    found = fuzz(options.tools or TOOLS, options.seed, options.count, options.first)
    if options.json:
        write_json(found, options.json)
    sys.exit(1 if any(f['failed'] for f in found.values()) else 0)
