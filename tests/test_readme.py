"The front page says what the repository does: it is the notebook's, its commands exist, its numbers are those of the stored scores."

import importlib.util, json, re, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text()


def test_readme_is_the_index_notebook():
    assert (
        subprocess.run([sys.executable, str(ROOT / 'tools/readme.py'), '--check']).returncode == 0
    ), 'run `python tools/readme.py`'


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r'^make (\w+)', README, re.M))
    assert {'train', 'test'} <= targets
    makefile = (ROOT / 'Makefile').read_text()
    for t in targets:
        assert re.search(rf'^{t}:', makefile, re.M), t


def test_commands_of_the_readme_exist():
    scripts = (ROOT / 'settings.ini').read_text()
    for c in set(re.findall(r'\bxray2ct-\w+', README)):
        assert f'{c}=' in scripts, c


def test_names_imported_in_the_readme_exist():
    for mod, names in re.findall(
        r'^from (xray2ct\.\w+) import ([\w, ]+?) *(?:#.*)?$', README, re.M
    ):
        m = importlib.import_module(mod)
        for n in names.split(','):
            assert hasattr(m, n.strip()), f'{mod}.{n}'


def test_table_is_that_of_the_stored_scores():
    files = sorted((ROOT / 'results/scores').glob('*.json'))
    assert len(files) >= 6
    for name in files:
        s = json.loads(name.read_text())
        assert (
            f"{s['mean']['psnr']:.2f}" in README
            and f"{s['baselines']['mean_volume']['psnr']:.2f}" in README
        ), name


def test_campaign_table_is_that_of_the_records():
    from xray2ct.studies.tables import study_table

    assert study_table() in README


def test_no_run_of_the_campaign_is_above_the_mean_volume():  # as the sentence under the table says
    from xray2ct.studies.claims import load_evidence
    from xray2ct.studies.tables import STUDY, study_row

    got = load_evidence()[0]
    assert not [
        a
        for a, p in STUDY.items()
        if study_row(a, p, list(got(a).values()))['means'] == 'above the mean volume'
    ]
