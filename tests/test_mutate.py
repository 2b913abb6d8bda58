"tools/mutate.py: what it changes, and that it tells a caught mutation from a survivor."

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location('mutate', ROOT / 'tools' / 'mutate.py')
mutate = sys.modules['mutate'] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mutate)

CELL = '''#| export
def part(x: list[1], n: int = 2) -> (3 + 4):
    "Text of 5 words."
    if not x or n < 6:  # 7 in a comment
        raise ValueError('no ' + str(8))
    print(9 + 9)
    return [-max(x[1:n]), *x, f'{n + 3}']
'''


def test_candidates():
    "Operators, numbers and words change; type hints, texts, comments, messages and a star stay."
    found = {(before, after) for *_, before, after in mutate.candidates(CELL)}
    numbers = {('2', '3'), ('2', '1'), ('2', '4'), ('6', '7'), ('6', '5'), ('6', '12'), ('1', '2'), ('1', '0')}
    words = {('not', ''), ('or', 'and'), ('max', 'min'), ('-', '+'), ('<', '<='), ('<', '>')}
    assert found == numbers | words


def test_every_mutation_is_code():
    "A changed cell is still Python, and differs in one line."
    for line, column, before, after in mutate.candidates(CELL):
        changed = mutate.mutate(CELL, f'cell:{line}:{column}', before, after)
        ast.parse(changed)
        assert sum(a != b for a, b in zip(CELL.splitlines(), changed.splitlines(), strict=True)) == 1


def test_draw():
    "A seed gives one draw, without repeated lines."
    first, second = (mutate.draw(30, seed, '01_core') for seed in (0, 1))
    assert first == mutate.draw(30, 0, '01_core') != second
    assert len({(m.notebook, *m.place.split(':')[:2]) for m in first}) == 30


def test_report(tmp_path):
    "A report is read as it was written, and its summary leaves out what is equivalent."
    rows = mutate.draw(4, 0, '01_core')
    rows = [mutate.replace(m, result=r) for m, r in zip(rows, ('caught', 'timeout', 'survived', 'survived'))]
    rows[3] = mutate.replace(rows[3], note='equivalent: no test could see it')
    mutate.write_report(tmp_path / 'r.txt', 'four', rows)
    assert mutate.read_report(tmp_path / 'r.txt') == ('four', rows)
    assert mutate.summary(rows).endswith('2 of 3 others caught (66.7 %)')


@pytest.mark.skipif(not (ROOT / '.git').exists(), reason='copies what git tracks')
def test_caught_and_survived(tmp_path, monkeypatch):
    "The width of an interval is tested; how many indices are drawn at a time changes no value."
    monkeypatch.setattr(mutate, 'BASELINES', tmp_path / 'times.json')
    monkeypatch.setattr(mutate, 'PACKAGES', ['numpy', 'torch', 'matplotlib.pyplot', 'nbdev.test'])
    found = [m for rows in mutate.all_mutations('08_evaluation/03').values() for m in rows]
    wanted = (('tail = (1 - level) / 2', '-'), ('INDEX_BUDGET = 2_000_000', '2_000_000'))
    chosen = [next(m for m in found if m.line.startswith(line) and m.before == token) for line, token in wanted]
    before = (ROOT / 'nbs' / chosen[0].notebook).read_bytes()
    runner = mutate.Runner(tmp_path)
    results = dict(runner.run(chosen))
    assert [results[i].result for i in (0, 1)] == ['caught', 'survived']
    assert runner.checked(list(results.values())) == list(results.values())
    assert (ROOT / 'nbs' / chosen[0].notebook).read_bytes() == before
