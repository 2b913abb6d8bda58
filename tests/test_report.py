"""The report in a real browser: one file, sliders that move the pictures, a policy that refuses everything foreign, and paper.

An untrained network that says how sure it is, scored on toy patients, gives a report with every part that a real one has. It is opened
from disk in Debian's chromium. Without a browser the test is skipped and says so; XRAY2CT_BROWSER=require makes that an error."""

import re, sys
from pathlib import Path
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_site import SHOTS, browser  # noqa: F401  (the fixture)


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    "The path of a report."
    import numpy as np, torch
    from dataclasses import replace
    from xray2ct.training.checkpoints import save_weights
    from xray2ct.core import write_json
    from xray2ct.data.dataset import toy_dataset
    from xray2ct.evaluation.baselines import fit_baselines
    from xray2ct.physics.geometry import Geometry, Grid
    from xray2ct.physics.geometry_file import geometry_to_dict
    from xray2ct.training.logging import MetricsLogger
    from xray2ct.models import build_model
    from xray2ct.models.lift import LiftCfg
    from xray2ct.recipes import get_recipe
    from xray2ct.inference.report import write_report
    from xray2ct.inference.evaluate import score
    from xray2ct.io.volume import hu_to_unit, write_nifti

    here = tmp_path_factory.mktemp('report')
    run = here / 'runs' / 'a&b'
    cfg = replace(get_recipe('smoke'), model=LiftCfg(n=16, pixels=32, widths=(8, 16), uncertainty=True))
    learnt, new = toy_dataset(8, n=16, pixels=32, seed=1), toy_dataset(4, n=16, pixels=32, seed=2)
    baselines = fit_baselines(learnt)
    torch.manual_seed(0)
    model = build_model(cfg.model)
    model.set_mean_volume(hu_to_unit(baselines.mean_volume, cfg.target)[None, None])
    save_weights(model, cfg, run / 'model.safetensors', dict(training_ids=learnt.ids))
    baselines.save(run / 'baselines.safetensors')
    for i, pid in enumerate(new.ids):
        f = here / 'cohort' / pid
        f.mkdir(parents=True)
        write_nifti(new[i]['volume'][0], Grid(16), f / f'{pid}.nii.gz')
        for v, x in zip(('pa', 'lat'), new[i]['xrays'][:, 0].numpy()):
            np.save(f / f'{pid}_{v}.npy', x)
        write_json(geometry_to_dict(Geometry(pixels=32)), f / 'geometry.json')
    write_json(score(run, here / 'cohort', split='all', progress=False), run / 'scores.json')
    journal = MetricsLogger(run)
    journal.write([dict(step=s, val_psnr=10.0 + s / 10, baseline_psnr=14.0) for s in (20, 40, 60)])
    journal.close()
    return write_report(run, [here / 'cohort'])


def opened(browser, path, **kw):  # noqa: F811
    "A tab on a file that notes errors and every request but that for the file itself."
    tab = browser.new_page(**kw)
    tab.wrong = []
    tab.set_default_timeout(60_000)
    tab.on('pageerror', lambda e: tab.wrong.append(str(e)))
    tab.on('console', lambda m: tab.wrong.append(m.text) if m.type == 'error' else None)
    tab.on(
        'request',
        lambda r: (
            tab.wrong.append(f'asks for {r.url}')
            if r.url != path.as_uri() and not r.url.startswith(('data:', 'blob:'))
            else None
        ),
    )
    tab.goto(path.as_uri())
    tab.locator('canvas').nth(17).wait_for(
        state='attached'
    )  # three cases, two volumes, three planes
    return tab


def seen(tab, selector):
    return tab.evaluate(
        "q => [...document.querySelectorAll(q)].filter(e => e.getClientRects().length).length",
        selector,
    )


PICTURE = "k => { const c = document.querySelectorAll('canvas')[k]; return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].reduce((a, b, i) => (a + b*(1 + i % 97)) % 1e9, 0) }"


@pytest.mark.parametrize('width,mode', [(1280, 'light'), (375, 'dark')])
def test_sliders_move_the_picture_and_nothing_leaves_the_file(browser, report, width, mode):  # noqa: F811
    assert report.stat().st_size < 5_000_000
    tab = opened(browser, report, viewport=dict(width=width, height=900), color_scheme=mode)
    assert tab.evaluate('document.documentElement.scrollWidth') <= width, 'wider than the screen'
    was, slider = tab.evaluate(PICTURE, 0), tab.locator('input[type=range][data-plane=axial]').first
    slider.evaluate("e => { e.value = 12; e.dispatchEvent(new Event('input', {bubbles: true})) }")
    tab.wait_for_timeout(300)
    assert tab.evaluate(PICTURE, 0) != was, 'the slider does not move the picture'
    was = tab.evaluate(PICTURE, 0)
    slider.focus()
    tab.keyboard.press('ArrowLeft')
    tab.wait_for_timeout(300)
    assert tab.evaluate(PICTURE, 0) != was, 'the keyboard does not move the picture'
    assert seen(tab, '.planes') == 0, 'still pictures beside the sliders'
    SHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=SHOTS / f'report-{width}-{mode}.png', full_page=True)
    assert not tab.wrong, tab.wrong
    tab.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s) }"
    )
    tab.wait_for_timeout(100)
    assert tab.title() == 'xray2ct: a&b' and tab.wrong, 'a foreign script was not refused'
    tab.close()


def test_report_says_what_it_should(browser, report):  # noqa: F811
    tab = opened(browser, report)
    words = tab.inner_text('body')
    for w in (
        'not for clinical use',
        'nearest',
        'mean volume',
        'control: wrong patient',
        'Calibration',
        'Predicted uncertainty',
        'best: patient',
        'worst: patient',
        'every case (4)',
    ):
        assert w.lower() in words.lower(), w
    tab.close()


def test_paper_is_a4_and_has_still_pictures(browser, report):  # noqa: F811
    tab = opened(browser, report)
    tab.emulate_media(media='print')
    tab.wait_for_timeout(300)
    assert seen(tab, '.planes') == 3 and seen(tab, 'canvas') == 0 and seen(tab, 'input') == 0
    pdf = tab.pdf(prefer_css_page_size=True)
    box = [float(v) for v in re.search(rb'/MediaBox *\[([^\]]*)\]', pdf)[1].split()]
    assert [round((box[i + 2] - box[i]) / 72 * 25.4) for i in (0, 1)] == [210, 297], box
    n = len(re.findall(rb'/Type */Page\b', pdf))
    assert 2 <= n <= 12, f'{n} pages'
    SHOTS.mkdir(parents=True, exist_ok=True)
    (SHOTS / 'report-a4.pdf').write_bytes(pdf)
    tab.close()
