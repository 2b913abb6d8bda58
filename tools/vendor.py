"""Fetch the two browser libraries that the site serves itself: `python tools/vendor.py`.

NiiVue (BSD-2, the viewer of volumes) and KaTeX (MIT, the formulas) are too large to be kept in git, so npm fetches the exact versions
once, their hashes are compared, and the few files that a page loads then lie in `nbs/assets/vendor` (ignored by git). Afterwards the
site builds without a network. Where npm or the network is missing the site builds all the same: the viewer shows its strip of
pictures instead of NiiVue, and formulas stand as their LaTeX source."""

import hashlib, shutil, subprocess, sys, tarfile, tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENDOR = ROOT / 'nbs/assets/vendor'
PACKAGES = {  # folder -> package, sha256 of what npm packs, and where its files go
    'niivue': (
        '@niivue/niivue@0.69.0',
        '6e9a6a471b428eb3b258a0086beca9187d95e43a781a39e8a519c6da246af485',
        {'package/dist/niivue.umd.js': 'niivue.umd.js'},
    ),
    'katex': (
        'katex@0.16.11',
        '8c5494c5f7d8e8bf73ff3fe64d4bd09a340e4878b7eec9bbd9ef8d8f3e24193f',
        {
            'package/dist/katex.min.css': 'katex.min.css',
            'package/dist/katex.min.js': 'katex.min.js',
            'package/LICENSE': 'LICENSE',
            'package/dist/contrib/auto-render.min.js': 'contrib/auto-render.min.js',
            'package/dist/fonts/*.woff2': 'fonts/',
        },
    ),
}


def unpack(tgz, files, dest):
    "Copy the named members of a tar file; nothing is written until all are there."
    with tarfile.open(tgz) as t:
        for pattern, to in files.items():
            head, star, tail = pattern.partition('*')
            found = [
                m
                for m in t.getmembers()
                if m.isfile()
                and (
                    m.name == pattern or star and m.name.startswith(head) and m.name.endswith(tail)
                )
            ]
            if not found:
                raise ValueError(f'{pattern} is not in the package')
            for m in found:
                path = dest / (to + Path(m.name).name if to.endswith('/') else to)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(t.extractfile(m).read())


def fetch(name, seconds=120):
    "Have npm pack one package, check it and unpack it; an error says what was wrong."
    spec, sha, files = PACKAGES[name]
    if shutil.which('npm') is None:
        raise OSError('npm is not installed')
    with tempfile.TemporaryDirectory() as tmp:
        try:
            r = subprocess.run(
                ['npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', tmp, spec],
                cwd=tmp,
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise OSError(f'npm did not answer within {seconds} s') from None
        tgz = next(Path(tmp).glob('*.tgz'), None)
        if r.returncode or tgz is None:
            raise OSError((r.stderr.strip().splitlines() or ['npm failed'])[0])
        got = hashlib.sha256(tgz.read_bytes()).hexdigest()
        if got != sha:
            raise ValueError(f'{spec} has the hash {got}, not {sha}')
        unpack(tgz, files, Path(tmp) / 'out')
        (Path(tmp) / 'out' / 'version').write_text(spec + '\n')
        VENDOR.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(VENDOR / name, ignore_errors=True)
        shutil.move(Path(tmp) / 'out', VENDOR / name)


def here(name):
    "Is the wanted version of a library there?"
    v = VENDOR / name / 'version'
    return v.exists() and v.read_text().strip() == PACKAGES[name][0]


def main():
    "Fetch what is missing; the names of the libraries that are still missing afterwards."
    missing = []
    for name in PACKAGES:
        if here(name):
            continue
        try:
            fetch(name)
            print(f'fetched {PACKAGES[name][0]}')
        except (OSError, ValueError) as e:
            missing.append(name)
            print(f'warning: {PACKAGES[name][0]} could not be fetched: {e}', file=sys.stderr)
    return missing


if __name__ == '__main__':
    sys.exit(1 if main() else 0)
