"""The documentation site, from the notebooks: `python tools/build_site.py`, or `make docs`.

nbdev's own processing (doc links, signatures, source links) makes a copy of the notebooks in `_site_src`; a renderer turns it
into `_docs`. Two renderers read the same `_quarto.yml`: smalldocs, pure Python and without a network, which the tests look at in
a browser, and Quarto (`--renderer quarto`), which the published site uses. What smalldocs leaves to the network is made local
here: fonts are the system's, KaTeX is that of tools/vendor.py, and links to the published site become links within this one.

Run from the repository; what it took is reported at the end."""

import argparse, ast, builtins, hashlib, html, json, multiprocessing, os, re, shutil, subprocess, sys, symtable, time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
import yaml

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = (
    ('Tutorials', 'tutorials'),
    ('Explanations', 'explanations'),
    ('Experiments', 'experiments'),
)
EXTERNAL = re.compile(
    r'<(?:script|img|iframe|source|video|link(?=[^>]*rel="?(?:stylesheet|icon|preload|modulepreload)))\b[^>]*?\s(?:src|href)="?(https?:)?//[^>]*>'
)

# ---------------------------------------------------------------- what the sidebar lists


def head_of(nb):
    "Title and the `- key: value` settings of a notebook's first cell."
    text = ''.join(json.loads(nb.read_text())['cells'][0]['source'])
    return re.search(r'^# (.+)', text, re.M)[1].strip(), dict(
        re.findall(r'^- (\w+): *(.+)$', text, re.M)
    )


def pages_of(folder):
    "Notebooks of a folder: by their `order` where they have one, then by name."
    key = lambda p: (float(head_of(p)[1].get('order', 'inf')), p.name)
    return sorted((p for p in folder.glob('*.ipynb') if p.name[0] not in '._'), key=key)


def sidebar(nbs):
    "Sidebar and navigation bar, for what is there: sections and chapters by folder."
    rel = lambda p: p.relative_to(nbs).as_posix()
    top = [p for p in pages_of(nbs) if not re.match(r'\d', p.name) and p.name != 'index.ipynb']
    side = [
        dict(text='Home', href='index.ipynb'),
        *(dict(text=head_of(p)[0], href=rel(p)) for p in top),
    ]
    bar = [dict(text=head_of(p)[0], href=rel(p)) for p in top]
    for title, folder in SECTIONS:
        pages = pages_of(nbs / folder) if (nbs / folder).is_dir() else []
        if not pages:
            continue
        side.append(
            dict(section=title, contents=[dict(text=head_of(p)[0], href=rel(p)) for p in pages])
        )
        bar.append(dict(text=title, href=rel(pages[0])))
    groups = []
    for folder in sorted(p for p in nbs.iterdir() if p.is_dir() and re.match(r'\d', p.name)):
        pages = [
            dict(text=p.stem.split('_', 1)[1], href=rel(p)) for p in sorted(folder.glob('*.ipynb'))
        ]
        groups.append(dict(section=folder.name.split('_', 1)[1].capitalize(), contents=pages))
    conventions = [dict(text='conventions', href=rel(p)) for p in nbs.glob('99_*.ipynb')]
    side.append(dict(section='API', contents=[*groups, *conventions]))
    bar.append(dict(text='API', href=groups[0]['contents'][0]['href']))
    return dict(website=dict(sidebar=dict(contents=side), navbar=dict(left=bar)))


# ---------------------------------------------------------------- what a picture shows


def plain(md):
    "Markdown as a sentence that can be read aloud."
    md = re.sub(r'\$([^$]*)\$', r'\1', re.sub(r'!?\[([^\]]*)\]\([^)]*\)', r'\1', md))
    return re.sub(r'\s+', ' ', re.sub(r'[`*#>|]|:::.*', '', md)).strip()


def alt_text(before, title):
    "What the prose above a picture says about it: its last paragraph, cut after a sentence."
    paras = [
        plain(p)
        for p in re.split(r'\n\s*\n', before)
        if p.strip() and not re.match(r'\s*(#|\||```|:::|\$\$|[-*] )', p)
    ]
    text = paras[-1] if paras else ''
    if len(text) > 240:
        text = (re.match(r'.{60,240}?[.:;](?= )', text) or re.match(r'.{0,239}\b', text))[0]
    return f'Figure in "{title}". {text}'.strip() if text else f'Figure in "{title}".'


def bare_code(nb):
    "nbdev links names in docstrings, also within the signature that a code block shows, where a link stands as its source: take it out."
    bare = lambda m: re.sub(r'\[(`[^`]+`)\]\(https?://[^)\s]*\)', r'\1', m[0])
    for o in (o for c in nb['cells'] for o in c.get('outputs', [])):
        if 'text/markdown' in (d := o.get('data', {})):
            d['text/markdown'] = re.sub(
                r'^```.*?^```', bare, ''.join(d['text/markdown']), flags=re.M | re.S
            )
    return nb


def describe_figures(nb, title):
    "Give each picture that has no alternative text the sentence that stands above it."
    before = ''
    for c in nb['cells']:
        src = ''.join(c['source'])
        if c['cell_type'] == 'markdown':
            before = src
        if c['cell_type'] != 'code':
            continue
        if (
            c['source']
            and not re.search(r'^#\|', src, re.M)
            and all(re.match(r'(from|import) |[ )]', l) for l in src.splitlines() if l.strip())
        ):
            c['source'] = (
                f'#| code-fold: true\n#| code-summary: "Imports"\n{src}'  # a page begins with its question
            )
        alt = alt_text(before, title)
        datas = [o.get('data', {}) for o in c.get('outputs', [])]
        if any(k.startswith('image/') for d in datas for k in d) and not re.search(
            r'^#\| *fig-alt:', src, re.M
        ):
            c['source'] = f'#| fig-alt: {json.dumps(alt, ensure_ascii=False)}\n{src}'
        for d in datas:
            if 'text/html' in d:
                d['text/html'] = re.sub(
                    r'<img\b(?![^>]*\balt=)',
                    lambda m: f'<img alt="{html.escape(alt)}"',
                    ''.join(d['text/html']),
                )
    return nb


# ---------------------------------------------------------------- which cells run


def names(src):
    "(names that a cell defines, names that it takes from elsewhere)"
    table = symtable.symtable(src, 'cell', 'exec')
    mine = {
        s.get_name()
        for s in table.get_symbols()
        if s.is_assigned() or s.is_imported() or s.is_namespace()
    }

    def used(t):
        yield from (
            s.get_name()
            for s in t.get_symbols()
            if s.is_referenced() and (t is table or s.is_global())
        )
        for c in t.get_children():
            yield from used(c)

    return mine, set(used(table)) - mine - set(dir(builtins))


NEVER = re.compile(
    r'^#\| *(slow|cuda|ddp|notest|eval: *false)|(?<![\w.])(fit|train|make_train_state)\(', re.M
)  # flagged, or it trains


def run_what_is_needed(nb, path='', stored=False):
    """nbdev runs exported cells, imports and cells marked `#| exec_doc`, and shows the stored output of all others. A marked cell that
    uses what an ordinary cell defines would fail: in the copy that is processed, that cell is marked too. If one of them trains a
    network or is flagged, nothing is run instead, and the marked cell shows its stored output like any other. With `stored`, so does
    every marked cell that has one: what the tests look at, because they have run each cell before."""
    cells = [c for c in nb['cells'] if c['cell_type'] == 'code']
    defined, runs = {}, set()  # name -> cell that defined it last; cells that run anyway
    for i, c in enumerate(cells):
        src = ''.join(c['source'])
        try:
            tree = ast.parse(src)
        except SyntaxError:
            continue  # a cell of magics
        c['names'] = names(src)
        if (
            re.search(r'^#\| *export', src, re.M)
            or tree.body
            and all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in tree.body)
        ):
            runs.add(i)
        elif stored and c['outputs']:
            c['source'] = re.sub(r'^#\| *exec_doc *\n', '', src, flags=re.M)
        elif re.search(r'^#\| *exec_doc', src, re.M):
            chain, todo = {i}, [defined[n] for n in c['names'][1] if n in defined]
            while todo:
                k = todo.pop()
                if k not in chain | runs:
                    chain.add(k)
                    todo += cells[k]['from'].values()
            if any(NEVER.search(''.join(cells[k]['source'])) for k in chain):
                if not c['outputs']:
                    print(
                        f'warning: {path}: a cell needs one that never runs here, and has no stored output: {src.splitlines()[1][:80]}',
                        file=sys.stderr,
                    )
                c['source'] = re.sub(r'^#\| *exec_doc *\n', '', src, flags=re.M)
            else:
                for k in chain - {i}:
                    cells[k]['source'] = '#| exec_doc\n' + ''.join(cells[k]['source'])
                runs |= chain
        c['from'] = {n: defined[n] for n in c['names'][1] if n in defined}
        defined |= {n: i for n in c['names'][0]}
    for c in cells:
        c.pop('names', None), c.pop('from', None)
    return nb


# ---------------------------------------------------------------- nbdev's part


def hash_of(files):
    "One hash of the names and contents of files."
    d = hashlib.sha256()
    for f in sorted(files):
        d.update(f.name.encode())
        d.update(f.read_bytes())
    return d.hexdigest()


def reach(cfg):
    "Module -> files of the package that it runs, through all that it imports: what decides whether a page has to be made again."
    files = {
        '.'.join(f.relative_to(cfg.lib_path).with_suffix('').parts).removesuffix('.__init__'): f
        for f in cfg.lib_path.rglob('*.py')
    }
    uses = {}
    for m, f in files.items():
        pkg = m.split('.') if f.name == '__init__.py' else m.split('.')[:-1]
        found = (
            (len(a) - 1, b)
            for a, b in re.findall(r'^from (\.+)([\w.]*) import', f.read_text(), re.M)
        )
        uses[m] = {
            '.'.join([*(pkg[:-up] if up else pkg), *filter(None, [to])]) for up, to in found
        } & files.keys()

    def all_of(m, seen):
        if m in uses and m not in seen:
            seen.add(m)
            [all_of(n, seen) for n in uses[m]]
        return seen

    return {m: {files[n] for n in all_of(m, set())} for m in files}


def process(cfg, n_workers, stored=False):
    "Put what a renderer reads into `_site_src`; notebooks that nothing has changed for come from `_site_cache`."
    import nbdev.doclinks
    from nbdev.quarto import refresh_quarto_yml
    from importlib.metadata import version
    from site_worker import work

    refresh_quarto_yml()
    nbdev.doclinks._build_modidx()
    (cfg.nbs_path / 'sidebar.yml').write_text(
        yaml.safe_dump(sidebar(cfg.nbs_path), sort_keys=False, allow_unicode=True)
    )
    src, copy, cache = (cfg.config_path / d for d in ('_site_src', '_site_nbs', '_site_cache'))
    for d in (src, copy):
        shutil.rmtree(d, ignore_errors=True)
    shutil.copytree(
        cfg.nbs_path, copy, ignore=shutil.ignore_patterns('.*', '__pycache__', '*.ipynb')
    )
    shutil.copytree(copy, src)
    cache.mkdir(exist_ok=True)
    modules, todo, used = reach(cfg), [], set()
    always = hash_of(
        [
            cfg.config_path / 'settings.ini',
            Path(__file__),
            ROOT / 'tools/site_worker.py',
            *(
                f
                for f in cfg.lib_path.rglob('*')
                if f.is_file() and f.suffix not in ('.py', '.pyc')
            ),
        ]
    ) + version('nbdev')
    data = hash_of(
        f
        for d in (cfg.config_path / 'results', cfg.nbs_path / 'assets')
        for f in d.rglob('*')
        if f.is_file() and 'vendor' not in f.parts
    )
    for p in sorted(
        cfg.nbs_path.rglob('*.ipynb'), key=lambda p: (len(p.parts), p.name), reverse=True
    ):  # experiments, the longest, first
        rel = p.relative_to(cfg.nbs_path)
        if any(x[0] in '._' for x in rel.parts):
            continue
        text = json.dumps(
            run_what_is_needed(json.loads(p.read_text()), p.name, stored),
            ensure_ascii=False,
            indent=1,
        )
        (copy / rel).write_text(text)
        runs = {
            f
            for m in re.findall(r'(?:from|import) xray2ct\.([\w.]+)', text)
            for f in modules.get(m, ())
        }
        key = hashlib.sha256(
            f'{rel} {always} {hash_of(runs)} {data if "exec_doc" in text else ""} {text}'.encode()
        ).hexdigest()[:24]
        used.add(key)
        if not (cache / key).exists():
            todo.append((copy / rel, src / rel, cache / key))
        else:
            shutil.copyfile(cache / key, src / rel)
    took = {}
    with ProcessPoolExecutor(max(1, n_workers), multiprocessing.get_context('spawn')) as pool:
        jobs = {pool.submit(work, a, b): (a, b, kept) for a, b, kept in todo}
        for j in as_completed(jobs):
            a, b, kept = jobs[j]
            try:
                took[a.stem] = j.result()
            except BaseException as e:
                pool.shutdown(wait=False, cancel_futures=True)
                raise SystemExit(
                    f'error: {a.relative_to(copy)}: {str(e) or type(e).__name__}'
                ) from e
            shutil.copyfile(b, kept.with_suffix('.part'))
            os.replace(kept.with_suffix('.part'), kept)
        for p in multiprocessing.active_children():
            p.terminate()  # they would close a shell a notebook, one after another
    for f in cache.iterdir():
        if f.name not in used:
            f.unlink()
    if took:
        print(
            f'{len(took)} notebooks processed, {len(used) - len(took)} unchanged; longest: '
            + ', '.join(f'{k} {v:.0f} s' for k, v in sorted(took.items(), key=lambda t: -t[1])[:4])
        )
    shutil.rmtree(copy)
    for p in src.rglob('*.ipynb'):
        nb = json.loads(p.read_text())
        p.write_text(
            json.dumps(
                describe_figures(bare_code(nb), head_of(cfg.nbs_path / p.relative_to(src))[0]),
                ensure_ascii=False,
                indent=1,
            )
        )
    return src


# ---------------------------------------------------------------- smalldocs' part


def drop_numbers(src):
    "Quarto honours `output-file: core.html` in 00_core.ipynb; smalldocs does not, so rename what it reads, and the links to it."
    new = lambda name: re.sub(r'^\d+[a-zA-Z0-9]*_', '', name.lower())
    names = {p.name: new(p.name) for p in src.rglob('*.ipynb') if new(p.name) != p.name}
    link = re.compile(r'(?<=[(/"\s])(\d+[a-zA-Z0-9]*_[\w.]+\.ipynb)')
    swap = lambda text: link.sub(lambda m: names.get(m[1], m[1]), text)
    for p in sorted(src.rglob('*.ipynb')):
        nb = json.loads(p.read_text())
        for c in nb['cells']:
            if c['cell_type'] == 'markdown':
                c['source'] = swap(''.join(c['source']))
        p.write_text(json.dumps(nb, ensure_ascii=False))
        if p.name in names:
            p.rename(p.with_name(names[p.name]))
    (src / 'sidebar.yml').write_text(swap((src / 'sidebar.yml').read_text()))


def localize(out, site_url):
    "Make every page independent of the network, and say what could not be."
    katex = (out / 'assets/vendor/katex/katex.min.js').exists()
    for css in out.rglob('*.css'):
        text = css.read_text()
        local = re.sub(
            r'@import\s*(url\(\s*)?(["\']?)https?://[^"\')]*\2(?(1)\s*\))[^;]*;', '', text
        )
        if local != text:
            css.write_text(local)
    for page in out.rglob('*.html'):
        text, up = page.read_text(), '../' * (len(page.relative_to(out).parts) - 1)
        if katex:
            text = re.sub(
                r'https://cdn\.jsdelivr\.net/npm/katex@[\d.]+/dist',
                up + 'assets/vendor/katex',
                text,
            )
        else:
            text = re.sub(
                r'<(script|link)[^>]*cdn\.jsdelivr\.net/npm/katex[^>]*>(</script>)?', '', text
            )
        text = re.sub(
            rf'href="{re.escape(site_url)}/?([^"]*)"',
            lambda m: f'href="{up}{m[1] or "index.html"}"',
            text,
        )
        here = set(re.findall(r'\bid="([^"]+)"', text))
        text = re.sub(
            rf'href="({re.escape(page.name)})?#([\w-]+)\.(\w+)"',
            lambda m: m[0] if f'{m[2]}.{m[3]}' in here or m[2] not in here else f'href="#{m[2]}"',
            text,
        )
        page.write_text(text)
        left = EXTERNAL.search(text)
        if left:
            raise SystemExit(f'error: {page.relative_to(out)} would load {left[0][:200]}')
    mend_anchors(out)
    return katex


def mend_anchors(out):
    "nbdev links methods and private helpers, which have no heading: lead to the class, or to the page."
    texts = {p.resolve(): p.read_text() for p in out.rglob('*.html')}
    ids = {p: set(re.findall(r'\bid="([^"]+)"', text)) for p, text in texts.items()}

    def mended(page, match):
        path, anchor = match[1], match[2]
        target = (page.parent / path).resolve() if path else page
        if target not in ids or anchor in ids[target]:
            return match[0]
        parent = anchor.partition('.')[0]
        return f'href="{path}#{parent}"' if parent in ids[target] else f'href="{path or page.name}"'

    for page, text in texts.items():
        new = re.sub(r'href="([^":#]*\.html|)#([\w.-]+)"', lambda m: mended(page, m), text)
        if new != text:
            page.write_text(new)


def build(renderer='smalldocs', n_workers=2, fetch=True, stored=False):
    "Process the notebooks, render them, put the site in `doc_path` and return that."
    from nbdev.config import get_config

    os.chdir(ROOT)
    t0 = time.time()
    sys.path.insert(0, str(ROOT / 'tools'))
    import vendor

    cfg, lost = (
        get_config(),
        vendor.main() if fetch else [n for n in vendor.PACKAGES if not vendor.here(n)],
    )
    src = process(cfg, n_workers, stored)
    t1 = time.time()
    if renderer == 'quarto':
        if shutil.which('quarto') is None:
            raise SystemExit(
                'error: quarto is not installed; leave out --renderer to build with smalldocs'
            )
        subprocess.run(['quarto', 'render', '--no-cache'], cwd=src, check=True)
    else:
        drop_numbers(src)
        subprocess.run([sys.executable, '-m', 'smalldocs.cli', 'render', str(src)], check=True)
        localize(src / cfg.doc_path.name, f'{cfg.doc_host}{cfg.doc_baseurl}'.rstrip('/'))
    shutil.rmtree(cfg.doc_path, ignore_errors=True)
    shutil.move(src / cfg.doc_path.name, cfg.doc_path)
    shutil.rmtree(src)
    n = sum(1 for _ in cfg.doc_path.rglob('*.html'))
    print(
        f'{n} pages in {cfg.doc_path.name}: {t1 - t0:.0f} s for the notebooks, {time.time() - t1:.0f} s for the pages'
    )
    if 'niivue' in lost:
        print('without NiiVue: the viewer shows its strip of pictures')
    if 'katex' in lost:
        print('without KaTeX: formulas stand as their LaTeX source')
    return cfg.doc_path


if __name__ == '__main__':
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--renderer', choices=('smalldocs', 'quarto'), default='smalldocs')
    p.add_argument('--n-workers', type=int, default=2)
    p.add_argument('--offline', action='store_true', help='fetch nothing')
    p.add_argument(
        '--stored',
        action='store_true',
        help='show stored outputs instead of drawing from the records again',
    )
    a = p.parse_args()
    build(a.renderer, a.n_workers, not a.offline, a.stored)
