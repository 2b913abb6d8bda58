"The front page says what the repository does: it is the notebook's, its commands exist, its numbers are those of the stored scores."

import importlib, json, re, subprocess, sys
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
    found = re.findall(r'^from (xray2ct[\w.]*) import ([\w, ]+?) *(?:#.*)?$', README, re.M)
    assert found
    for mod, names in found:
        m = importlib.import_module(mod)
        for n in names.split(','):
            assert hasattr(m, n.strip()), f'{mod}.{n}'


def python_of_the_readme():
    return '\n'.join(re.findall(r'^```python\n(.*?)^```', README, re.M | re.S))


def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = python_of_the_readme()
    assert 'load_predictor' in code
    got = {}
    exec(compile(code, 'README.md', 'exec'), got)
    assert tuple(got['ct'].hu.shape) == (64, 64, 64) and not got['ct'].warnings
    assert max(got['ct'].residual.values()) < 0.2  # the volume explains its X-rays


def stored_text(name):
    "Sources and stored outputs of a notebook of experiments."
    nb = json.loads((ROOT / 'nbs/experiments' / f'{name}.ipynb').read_text())
    parts = []
    for c in nb['cells']:
        parts.append(''.join(c['source']))
        for o in c.get('outputs', []):
            data = o.get('data', {})
            parts.append(''.join(o.get('text') or data.get('text/markdown') or ''))
    return '\n'.join(parts)


def interval(part, ci):
    "A mean as the table shows it, with its interval if there is one."
    return f'{part:.2f}' + (f' [{ci[0]:.2f}, {ci[1]:.2f}]' if ci[0] is not None else '')


def scores_of(name, cohort):
    return json.loads((ROOT / f'results/{name}-{cohort}.json').read_text())


def test_table_is_that_of_the_stored_scores():
    "Each row of the table: model or baseline, on both cohorts, with intervals."
    rows = [[x.strip(' *') for x in l.split('|')[1:-1]] for l in README.splitlines() if l[:2] == '| ']
    rows = {r[0]: r[1:] for r in rows if len(r) == 4}
    models = {m: f'scores/{m}' for m in ('lift64', 'lift64_varied', 'lift128')}
    models['DynUNet, same data and time'] = 'analysis/dynunet64'
    models["the study's base network, same data and time"] = 'analysis/direct64_matched'
    for label, name in models.items():
        s = scores_of(name, 'virtual_test')
        assert rows[label][0] == f'{s["grid"]["n"]}³', label
        assert rows[label][1] == interval(s['mean']['psnr'], s['ci95']['psnr']), label
        if name.startswith('scores'):
            s = scores_of(name, 'real')
            assert s['n'] == 1 and rows[label][2] == interval(s['mean']['psnr'], s['ci95']['psnr'])
        else:
            assert rows[label][2] == '–', label
    for label, key in {'ridge regression': 'ridge', 'mean training volume': 'mean_volume'}.items():
        for column, cohort in ((1, 'virtual_test'), (2, 'real')):
            b = scores_of('scores/lift64', cohort)['baselines'][key]
            assert rows[label][column] == interval(b['psnr'], b['ci95']['psnr']), (label, cohort)


def test_sentences_of_the_readme_are_those_of_the_stored_scores():
    s = scores_of('scores/lift64', 'virtual_test')
    wrong, mean = s['controls']['wrong_patient'], s['baselines']['mean_volume']
    assert wrong['ci95']['psnr'][1] < mean['ci95']['psnr'][0]  # "falls below the mean volume"
    for name in ('lift64', 'lift64_varied', 'lift128'):  # "on the real chest they gain far less"
        gains = [scores_of(f'scores/{name}', c)['gain_over_mean_volume'] for c in ('virtual_test', 'real')]
        assert 0 < gains[1]['psnr'] < 0.5 * gains[0]['psnr'], name
    claims = json.loads((ROOT / 'results/claims.json').read_text())
    assert f'each of its {len(claims)} claims' in README


def test_every_stored_score_is_in_the_comparison():
    "The long tables: each model and the mean volume, on both cohorts."
    files, text = sorted((ROOT / 'results/scores').glob('*.json')), stored_text('c2_comparison')
    assert len(files) >= 6
    for name in files:
        s = json.loads(name.read_text())
        assert (
            f"{s['mean']['psnr']:.2f}" in text
            and f"{s['baselines']['mean_volume']['psnr']:.2f}" in text
        ), name


def test_table_of_the_study_is_that_of_the_records():
    from xray2ct.studies.tables import study_table

    assert study_table() in stored_text('00_summary')


def test_no_run_of_the_study_is_above_the_mean_volume():  # as the README says
    from xray2ct.studies.claims import load_evidence
    from xray2ct.studies.tables import STUDY, study_row

    got = load_evidence()[0]
    assert not [
        run
        for run, protocol in STUDY.items()
        if study_row(run, protocol, list(got(run).values()))['means'] == 'above the mean volume'
    ]


def test_readme_is_short():
    assert 600 <= len(README.split()) <= 800
