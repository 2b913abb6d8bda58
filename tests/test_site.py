"""The documentation site in a real browser: every page, every link, the viewer, search, both modes, a phone's width.

The site is built into `_docs` (unchanged notebooks come from a cache), served on 127.0.0.1 and opened with Debian's chromium through
playwright. Screenshots go to build/shots (or the folder named by XRAY2CT_SHOTS). Without a browser these tests are skipped, and say so
loudly; XRAY2CT_BROWSER=require makes that an error. XRAY2CT_SITE=FOLDER takes a site that is already built."""

import functools, html.parser, http.server, io, json, os, re, shutil, subprocess, sys, threading, time, urllib.parse, warnings
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHOTS = Path(os.environ.get('XRAY2CT_SHOTS', ROOT / 'build' / 'shots'))
CHROMIUM = next(
    (p for n in ('chromium', 'chromium-browser', 'google-chrome') if (p := shutil.which(n))), None
)
FLAGS = (
    '--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync '
    '--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist'
).split()
CASE = json.loads((ROOT / 'nbs/assets/case/case.json').read_text())

# ---------------------------------------------------------------- the site


@pytest.fixture(scope='session')
def site():
    "A folder with the built site."
    given = os.environ.get('XRAY2CT_SITE')
    if given:
        return Path(given).resolve()
    env = {k: v for k, v in os.environ.items() if k != 'IN_TEST'}
    r = subprocess.run(
        [sys.executable, str(ROOT / 'tools/build_site.py'), '--stored'],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert r.returncode == 0, r.stdout[-3000:] + r.stderr[-3000:]
    broken = [l for l in (r.stdout + r.stderr).splitlines() if 'broken link' in l]
    assert not broken, '\n'.join(broken[:20])
    return ROOT / '_docs'


class Page(html.parser.HTMLParser):
    "Links, anchors and pictures of one page."

    def __init__(self, path):
        super().__init__()
        self.path, self.links, self.ids, self.no_alt, self.loads = path, [], set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if 'id' in a:
            self.ids.add(a['id'])
        if tag == 'a' and a.get('name'):
            self.ids.add(a['name'])
        if tag == 'a' and a.get('href') is not None:
            self.links.append(a['href'])
        if tag == 'img' and not (a.get('alt') or '').strip():
            self.no_alt.append((a.get('src') or '')[:60])
        if tag in ('img', 'script', 'iframe', 'source') and a.get('src'):
            self.loads.append(a['src'])
        if tag == 'source' and a.get('srcset'):
            self.loads.append(a['srcset'])
        if tag == 'link' and a.get('rel') in ('stylesheet', 'icon') and a.get('href'):
            self.loads.append(a['href'])


@pytest.fixture(scope='session')
def pages(site):
    return {
        p.relative_to(site).as_posix(): Page(p)
        for p in sorted(site.rglob('*.html'))
        if 'vendor' not in p.parts and p.name != 'viewer.html' or p.parent == site
    }


def target(page, link):
    "(file, anchor) that an internal link means."
    u = urllib.parse.urlsplit(link)
    path = urllib.parse.unquote(u.path)
    f = page.path if not path else (page.path.parent / path).resolve()
    if path.endswith('/') or f.is_dir():
        f = f / 'index.html'
    return f, urllib.parse.unquote(u.fragment)


def test_every_notebook_has_its_page(site, pages):
    for nb in (ROOT / 'nbs').rglob('*.ipynb'):
        if any(x[0] in '._' for x in nb.relative_to(ROOT / 'nbs').parts):
            continue
        name = (
            nb.relative_to(ROOT / 'nbs')
            .with_name(re.sub(r'^\d+[a-zA-Z0-9]*_', '', nb.stem.lower()) + '.html')
            .as_posix()
        )
        assert name in pages, name


def test_links_and_anchors(site, pages):
    bad = []
    for name, p in pages.items():
        for link in p.links:
            if re.match(r'[a-z]+:|//', link) or link in ('', '#'):
                continue
            f, anchor = target(p, link)
            if not f.exists():
                bad.append(f'{name}: {link}')
            elif anchor and f.suffix == '.html' and f.is_relative_to(site):
                there = pages.get(f.relative_to(site).as_posix())
                if there and anchor not in there.ids:
                    bad.append(f'{name}: no #{anchor} in {f.name}')
    assert not bad, f'{len(bad)} broken links: ' + '; '.join(bad[:15])


def test_no_page_shows_the_source_of_a_link(pages):
    "A name in backticks becomes a link of its own, so it cannot be the text of another one."
    shown = {name: re.findall(r'</a>[^<]{0,3}\]\(\S+', p.path.read_text()) for name, p in pages.items()}
    assert not {name: found for name, found in shown.items() if found}


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for name, p in pages.items():
        for url in p.loads:
            assert not re.match(r'(https?:)?//', url), f'{name} loads {url}'
    for css in site.rglob('*.css'):
        assert not re.search(r'(url\(|@import)\s*["\']?(https?:)?//', css.read_text()), css


def test_pictures_have_words(pages):
    assert not (bad := [(n, p.no_alt[:2]) for n, p in pages.items() if p.no_alt]), bad[:8]
    alts = re.findall(r'<img[^>]*alt="([^"]+)"', (pages['02_physics/geometry.html'].path).read_text())
    assert alts and all(len(a) > 25 for a in alts), alts


def test_source_links_and_signatures(pages):
    text = pages['02_physics/geometry.html'].path.read_text()
    assert re.search(r'href="https://github\.com/[^"]+/xray2ct/physics/geometry\.py#L\d+"', text), (
        'no source links'
    )
    assert 'project_points' in pages['02_physics/geometry.html'].ids and '(...,V,3,4)' in text, (
        'the signature with its shapes'
    )
    for name, p in pages.items():  # helpers of a page that is only read are no API
        signs = re.findall(r'<pre.*?</pre>', p.path.read_text(), re.S)
        assert not any(re.search(r'\[`[^`]+`\]\(http', s) for s in signs), (
            f'{name}: a link stands as its source in a signature'
        )
        if name.split('/')[0] in ('tutorials', 'explanations', 'experiments'):
            assert 'Call self as a function' not in p.path.read_text(), name


def test_what_the_site_serves_is_small():
    sizes = {f.name: f.stat().st_size for f in (ROOT / 'nbs/assets/case').iterdir()}
    assert (
        sum(v for k, v in sizes.items() if k.endswith('.nii.gz')) < 3_000_000
        and sizes['sweep.webp'] < 600_000
    ), sizes
    assert {
        'prediction.nii.gz',
        'truth.nii.gz',
        'truth_small.nii.gz',
        'strip.png',
        'sweep.webp',
        'still.png',
        'case.json',
    } <= set(sizes)


def test_front_page_speaks_of_the_pictures_and_pages_that_are_there():
    text = (ROOT / 'README.md').read_text()
    assert f'{CASE["psnr"]:.2f} dB' in text and f'{CASE["steps"]} optimizer steps' in text, (
        'run `python tools/readme.py --run`'
    )
    for folder in ('tutorials', 'explanations'):
        for nb in (ROOT / 'nbs' / folder).glob('[a-z]*.ipynb'):
            assert f'(nbs/{folder}/{nb.name})' in text, (
                f'{nb.name}: run `python tools/readme.py --run`'
            )
    for path in re.findall(r'\]\((nbs/[^)#]+)\)|(?:src|srcset)="(nbs/[^"]+)"', text):
        assert (ROOT / (path[0] or path[1])).exists(), path
    for name in re.findall(r'workflows/(\w+)\.yml/badge', text):
        assert (ROOT / f'.github/workflows/{name}.yml').exists(), name


def test_build_marks_what_a_marked_cell_needs():
    sys.path.insert(0, str(ROOT / 'tools'))
    import build_site as b

    nb = lambda *src: dict(cells=[dict(cell_type='code', source=s, outputs=[1]) for s in src])
    got = lambda *src: [
        ''.join(c['source']).startswith('#| exec_doc')
        for c in b.run_what_is_needed(nb(*src))['cells']
    ]
    assert got('a = 1', 'b = a', 'c = 2', '#| exec_doc\nprint(b)') == [
        True,
        True,
        False,
        True,
    ]  # what it uses, and what that uses
    assert got('a = 1', '#| export\na = 2', '#| exec_doc\nprint(a)') == [
        False,
        False,
        True,
    ]  # the last definition counts
    assert got('w = fit(x)', '#| exec_doc\nprint(w)', '#| exec_doc\nprint(1)') == [
        False,
        False,
        True,
    ]  # training is not repeated: stored output
    assert got('#| slow\nw = 1', '#| exec_doc\nprint(w)') == [False, False]
    nb = dict(
        cells=[
            dict(cell_type='code', source=s, outputs=o)
            for s, o in (('#| exec_doc\nprint(1)', [1]), ('#| exec_doc\nprint(2)', []))
        ]
    )
    test = [c['source'] for c in b.run_what_is_needed(nb, stored=True)['cells']]
    assert test == ['print(1)', '#| exec_doc\nprint(2)'], test  # what is stored is not made again
    md = 'see [`f`](https://a.b/f.html)\n```python\ndef g(\n    x, # From [`f`](https://a.b/f.html#f)\n)\n```\n[`h`](https://a.b/h.html)'
    seen = b.bare_code(dict(cells=[dict(outputs=[dict(data={'text/markdown': md})])]))['cells'][0][
        'outputs'
    ][0]['data']['text/markdown']
    assert (
        'x, # From `f`\n' in seen
        and seen.startswith('see [`f`](https://a.b/f.html)')
        and seen.endswith('[`h`](https://a.b/h.html)')
    ), seen  # links of prose stay
    with_alt = b.describe_figures(
        dict(
            cells=[
                dict(cell_type='markdown', source='Rays meet at the *source*.'),
                dict(cell_type='code', source='plot()', outputs=[dict(data={'image/png': 'x'})]),
            ]
        ),
        'T',
    )['cells'][1]['source']
    assert with_alt == '#| fig-alt: "Figure in \\"T\\". Rays meet at the source."\nplot()'


# From Quarto's own schema (src/resources/schema/definitions.yml, base-website): it refuses a key that is not there, and so fails to publish
WEBSITE = set(
    '''title description favicon site-url site-path repo-url repo-link-target repo-link-rel repo-subdir repo-branch issue-url repo-actions reader-mode
    search navbar sidebar body-header body-footer margin-header margin-footer page-navigation back-to-top-navigation bread-crumbs page-footer image image-alt
    comments open-graph twitter-card other-links code-links'''.split()
)
NAVBAR = set(
    'title logo logo-alt logo-href background foreground search pinned collapse collapse-below left right toggle-position'.split()
)
SIDEBAR = set(
    'id title logo search tools contents style background foreground border alignment collapse-level pinned header footer'.split()
)


def test_quarto_would_know_every_setting():
    "Quarto is not run here; what it is told is compared with what its documentation allows."
    sys.path.insert(0, str(ROOT / 'tools'))
    import build_site as b, yaml

    cfg = yaml.safe_load((ROOT / '_quarto.yml').read_text())
    made = b.sidebar(ROOT / 'nbs')['website']
    web = cfg['website']
    assert (
        set(cfg) == {'project', 'format', 'website', 'metadata-files'}
        and cfg['project']['type'] == 'website'
    )
    assert not set(web) - WEBSITE and not set(made) - WEBSITE
    assert (
        not (set(web['navbar']) | set(made['navbar'])) - NAVBAR
        and not (set(web['sidebar']) | set(made['sidebar'])) - SIDEBAR
    )
    assert (
        set(web['repo-actions']) <= {'none', 'edit', 'source', 'issue'}
        and web['sidebar']['style'] in ('docked', 'floating')
        and set(web['page-footer'])
        <= {'left', 'right', 'center', 'border', 'background', 'foreground'}
    )

    def walk(items):
        for i in items:
            assert set(i) in ({'text', 'href'}, {'section', 'contents'}), i
            if 'href' in i:
                assert (ROOT / 'nbs' / i['href']).exists(), i
            else:
                walk(i['contents'])

    walk(made['sidebar']['contents'])
    walk(made['navbar']['left'])


# ---------------------------------------------------------------- the browser


def why_no_browser():
    "None if a browser can be driven here, or the reason why not."
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return 'playwright is not installed (pip install playwright)'
    return (
        None
        if CHROMIUM
        else 'chromium is not installed (apt-get install chromium; `make test` tries that as root on Debian)'
    )


@pytest.fixture(scope='module')
def browser():
    reason = why_no_browser()
    if reason:
        if os.environ.get('XRAY2CT_BROWSER') == 'require':
            pytest.fail(f'no browser: {reason}')
        warnings.warn(
            f'\n{"!" * 100}\n!! THE SITE WAS NOT OPENED IN A BROWSER: {reason}\n{"!" * 100}'
        )
        pytest.skip(f'THE SITE WAS NOT OPENED IN A BROWSER: {reason}')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield b
        b.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope='session')
def base(site):
    s = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(Quiet, directory=str(site))
    )
    threading.Thread(target=s.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{s.server_port}/'
    s.shutdown()


def opened(browser, base, width=1280, height=900, mode='light', **kw):
    "A tab that notes everything that goes wrong in it."
    tab = browser.new_page(viewport=dict(width=width, height=height), color_scheme=mode, **kw)
    tab.set_default_timeout(120_000)
    tab.wrong = []
    tab.on('pageerror', lambda e: tab.wrong.append(f'{tab.url}: {e}'))
    tab.on(
        'console', lambda m: tab.wrong.append(f'{tab.url}: {m.text}') if m.type == 'error' else None
    )
    tab.on(
        'requestfailed',
        lambda r: (
            tab.wrong.append(f'failed {r.url} ({r.failure})')
            if 'ERR_ABORTED' not in (r.failure or '')
            else None
        ),
    )  # left before it came
    tab.on(
        'request',
        lambda r: (
            tab.wrong.append(f'{tab.url} asks for {r.url}')
            if not r.url.startswith((base, 'data:', 'blob:'))
            else None
        ),
    )
    tab.on(
        'response', lambda r: tab.wrong.append(f'{r.status} {r.url}') if r.status >= 400 else None
    )
    return tab


def shot(tab, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=SHOTS / f'site-{name}.png')


def pixels(tab, selector):
    "What an element shows, as gray levels."
    import numpy as np
    from PIL import Image

    return np.asarray(
        Image.open(io.BytesIO(tab.locator(selector).screenshot())).convert('L'), dtype=float
    )


def contrast(tab, selector):
    "Contrast ratio (WCAG) of an element's text with the background it stands on."
    return tab.evaluate(
        """s => {
        const e = document.querySelector(s), num = c => (c.match(/[\\d.]+/g) || []).map(Number)
        const lum = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .03928 ? v/12.92 : ((v+.055)/1.055)**2.4).reduce((t, v, i) => t + v*[.2126, .7152, .0722][i], 0)
        const layers = []; for (let b = e; b; b = b.parentElement) layers.push(num(getComputedStyle(b).backgroundColor))
        const behind = layers.reverse().reduce((under, [r, g, b, a = 1]) => [r, g, b].map((v, i) => a*v + (1-a)*under[i]), [255, 255, 255])   // some are veils
        const [x, y] = [lum(num(getComputedStyle(e).color)), lum(behind)].sort((p, q) => q - p)
        return (x + .05)/(y + .05) }""",
        selector,
    )


OVERFLOW = """() => ({wide: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth,
    blank: document.querySelector('main').innerText.trim().length < 40,
    tex: !!window.renderMathInElement && document.querySelectorAll('.katex').length < document.querySelectorAll('.math').length})"""


def test_every_page_opens_and_fits_a_phone(browser, base, pages):
    "No console error, no missing file, no foreign request, formulas set, and no sideways scrolling at 375 px."
    tab, bad = opened(browser, base, 375, 800), []
    for name in pages:
        tab.goto(base + name, wait_until='load')
        got = tab.evaluate(OVERFLOW)
        if got['wide'] > 0:
            bad.append(f'{name} is {got["wide"]} px wider than a phone')
        if got['blank']:
            bad.append(f'{name} is empty')
        if got['tex']:
            tab.wait_for_timeout(400)
            bad += [f'{name}: a formula is not set'] if tab.evaluate(OVERFLOW)['tex'] else []
    assert not bad + tab.wrong, '\n'.join((bad + tab.wrong)[:20])
    tab.close()


@pytest.mark.parametrize('mode', ['light', 'dark'])
@pytest.mark.parametrize('width', [1280, 375])
def test_looks(browser, base, mode, width):
    "Pictures for a person to look at, and that text can be read on what is behind it."
    tab = opened(browser, base, width, 900 if width > 600 else 800, mode)
    for name in (
        'index',
        'viewer',
        'tutorials/two_xrays',
        'explanations/two_views',
        'experiments/summary',
        '02_physics/geometry',
    ):
        tab.goto(f'{base}{name}.html', wait_until='load')
        tab.wait_for_timeout(400)
        for s in (
            'main h1',
            'main p',
            'main a',
            '#quarto-header .navbar-title',
            *(('main code',) if name != 'viewer' else ()),
        ):
            assert contrast(tab, s) > 4.5, (name, mode, s, contrast(tab, s))
        if name == 'viewer':
            tab.frames[-1].wait_for_selector('body[data-ready]', state='attached')
            tab.wait_for_timeout(500)
        shot(tab, f'{name.replace("/", "_")}-{width}-{mode}')
    dark = (
        tab.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a+b)"
        )
        < 384
    )
    assert dark == (mode == 'dark') and not tab.wrong, tab.wrong
    tab.close()


@pytest.mark.parametrize('mode', ['light', 'dark'])
def test_search(browser, base, mode):
    "The search finds a function, by keyboard, in colors that can be read, and goes there."
    tab = opened(browser, base, mode=mode)
    tab.goto(base + 'index.html')
    tab.fill('#quarto-search input', 'project_points')
    tab.wait_for_selector('.search-result')
    assert (
        contrast(tab, '.search-result-title') > 4.5
        and contrast(tab, '.search-result-text') > 4.5
        and contrast(tab, '#quarto-search input') > 4.5
    )
    shot(tab, f'search-{mode}')
    tab.keyboard.press('ArrowDown')
    tab.keyboard.press('Enter')
    tab.wait_for_url('**/geometry.html*')
    assert not tab.wrong, tab.wrong
    tab.close()


def test_mode_can_be_switched(browser, base):
    tab = opened(browser, base)
    tab.goto(base + 'index.html')
    tint = lambda: tab.evaluate('getComputedStyle(document.body).backgroundColor')
    was = tint()
    tab.click('.quarto-color-scheme-toggle')
    tab.wait_for_timeout(300)
    assert tint() != was
    tab.reload()
    tab.wait_for_timeout(300)
    assert tint() != was, 'the choice is kept'
    tab.close()


def test_navigation_on_a_phone(browser, base):
    "The sidebar opens, and leads to a tutorial and to a module."
    tab = opened(browser, base, 375, 800)
    tab.goto(base + 'index.html')
    tab.click('.quarto-btn-toggle >> nth=0')
    tab.wait_for_timeout(400)
    shot(tab, 'sidebar-375')
    box = tab.locator('#quarto-sidebar').bounding_box()
    assert box['x'] >= 0 and box['width'] <= 375
    assert {'Tutorials', 'Experiments', 'API'} <= {
        t.strip()
        for t in tab.locator(
            '#quarto-sidebar .sidebar-item-section > .sidebar-item-container .sidebar-link'
        ).all_inner_texts()
    }
    tab.close()


@pytest.mark.parametrize('how', ['webgl', 'strip'])
def test_viewer(browser, base, site, how):
    "The viewer paints, its slider and its keys move both pictures, and they differ from one another."
    if how == 'webgl' and not (site / 'assets/vendor/niivue/niivue.umd.js').exists():
        pytest.skip('THE SITE WAS BUILT WITHOUT NIIVUE: npm could not fetch it')
    tab = opened(browser, base, 760, 520)
    t0 = time.time()
    tab.goto(f'{base}assets/viewer.html' + ('?webgl=no' if how == 'strip' else ''))
    tab.wait_for_selector('body[data-ready]', state='attached')
    assert tab.evaluate('document.body.dataset.ready') == dict(webgl='1', strip='strip')[how], (
        tab.wrong + [tab.inner_text('#note')]
    )
    tab.wait_for_timeout(600)
    print(f'{how}: ready after {time.time() - t0:.1f} s')
    first = [pixels(tab, f'#stage{k}') for k in (0, 1)]
    for p in first:
        assert p.std() > 20 and (p > 60).mean() > 0.05, 'a blank canvas'
    n = min(p.shape[1] for p in first)
    assert abs(first[0][:, :n] - first[1][:, :n]).mean() > 2, 'the two pictures are the same'
    shot(tab, f'viewer-{how}')
    where = tab.inner_text('#where')
    tab.locator('#slice').evaluate(
        "e => { e.value = 70; e.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    tab.wait_for_timeout(500)
    moved = [pixels(tab, f'#stage{k}') for k in (0, 1)]
    for a, b in zip(first, moved):
        assert abs(a - b).mean() > 3, 'the slider does not move the picture'
    assert tab.inner_text('#where') != where
    tab.focus('#slice')
    tab.keyboard.press('ArrowLeft')
    assert tab.input_value('#slice') == '69'  # the slider's own keys
    tab.focus('#gl0' if how == 'webgl' else '#stage0 > div')
    for _ in range(25):
        tab.keyboard.press('ArrowDown')
    tab.wait_for_timeout(500)
    assert tab.input_value('#slice') == '44'  # and those of the picture
    assert all(abs(a - pixels(tab, f'#stage{k}')).mean() > 3 for k, a in enumerate(moved)), (
        'keys do not move the pictures'
    )
    assert not tab.wrong, tab.wrong
    tab.close()


def test_viewer_choices(browser, base, site):
    "Planes, windows and the truth at the model's voxels; a click on one picture moves the other."
    if not (site / 'assets/vendor/niivue/niivue.umd.js').exists():
        pytest.skip('THE SITE WAS BUILT WITHOUT NIIVUE: npm could not fetch it')
    tab = opened(browser, base, 760, 520)
    tab.goto(f'{base}assets/viewer.html')
    tab.wait_for_selector('body[data-ready="1"]', state='attached')
    tab.wait_for_timeout(500)
    for control, value, k in (
        ('plane', 'coronal', 0),
        ('window', '-1000,200', 1),
        ('truth', 'truth_small.nii.gz', 1),
        ('plane', 'all', 0),
    ):
        was = pixels(tab, f'#stage{k}')
        tab.select_option(f'#{control}', value)
        tab.wait_for_timeout(900)
        assert abs(was - pixels(tab, f'#stage{k}')).mean() > 0.5, (
            f'{control} {value} changes nothing'
        )
    shot(tab, 'viewer-planes')
    was, box = pixels(tab, '#stage1'), tab.locator('#gl0').bounding_box()
    tab.mouse.click(box['x'] + box['width'] * 0.2, box['y'] + box['height'] * 0.2)
    tab.wait_for_timeout(600)
    assert abs(was - pixels(tab, '#stage1')).mean() > 0.3, (
        'a click on the left does not move the right'
    )
    assert not tab.wrong, tab.wrong
    tab.close()


def test_viewer_is_in_its_page_and_says_where_the_patient_is(browser, base):
    tab = opened(browser, base)
    tab.goto(f'{base}viewer.html')
    frame = next(f for f in tab.frames if 'assets/viewer.html' in f.url)
    frame.wait_for_selector('body[data-ready]', state='attached')
    assert (
        f'{CASE["psnr"]} dB' in frame.inner_text('#cap0')
        and CASE['patient'] in frame.inner_text('#cap1')
        and CASE['patient'] in tab.inner_text('main')
    )
    for s in ('input', 'select'):
        assert all(
            e.evaluate("e => !!(e.ariaLabel || e.closest('label'))")
            for e in frame.query_selector_all(s)
        ), f'{s} without a label'
    assert not tab.wrong, tab.wrong
    tab.close()
