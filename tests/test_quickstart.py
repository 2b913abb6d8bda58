"""The order of `make train`: the first result, by pretrained weights, stands before a patient is drawn or a network is trained.

The commands are replaced by ones that only make their files, so that this takes seconds; the commands themselves have tests of their own.
"""

import json
from pathlib import Path
import pytest
from xray2ct import quickstart

SCORES = dict(
    protocol='documented',
    n=1,
    mean=dict(psnr=16.5),
    baselines=dict(mean_volume=dict(psnr=15.76)),
    gain_over_mean_volume=dict(psnr=0.74, ci95=[None, None]),
)


def make(path):
    "A product of a command: scores, another file, or a folder."
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.json':
        path.write_text(json.dumps(SCORES))
    elif path.suffix:
        path.touch()
    else:
        path.mkdir(exist_ok=True)


@pytest.fixture
def started(tmp_path, monkeypatch, capsys):
    "The commands that were run, each with what had been printed before it."
    commands, printed = [], []

    def run_step(step, log):
        printed.append(capsys.readouterr().out)
        commands.append((step.argv, ''.join(printed)))
        for path in step.makes:
            make(Path(path))
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quickstart, '_run_step', run_step)
    monkeypatch.setattr(quickstart, 'step_seconds', lambda cfg: 0.3)
    make(quickstart.SAMPLE)
    return commands


def begins(commands, program):
    "What had been printed before the first command of this name."
    return next(text for argv, text in commands if argv[0] == program)


def test_the_first_result_comes_before_patients_and_training(started, capsys):
    quickstart.main(from_scratch=True, nproc=1)
    programs = [argv[0] for argv, _ in started]
    first = ['xray2ct-prepare', 'xray2ct-evaluate', 'xray2ct-predict', 'cp', 'xray2ct-report']
    assert programs[:6] == [*first, 'xray2ct-cohort'] and programs.count('torchrun') == 1
    opening = started[0][1]
    assert 'the first result takes about' in opening and 'A real chest' not in opening
    for program in ('xray2ct-cohort', 'torchrun'):
        text = begins(started, program)
        assert 'A real chest from its two X-rays, by the pretrained weights lift64:' in text
        assert 'this model' in text and 'mean volume' in text and '16.50' in text
        assert 'runs/lift64/report.html' in text and 'virtual_test (n=' not in text
    assert 'virtual_test (n=1)' in capsys.readouterr().out


def test_the_estimate_is_corrected_while_it_runs(started, monkeypatch, capsys):
    clock = iter(range(0, 100_000, 500))  # each look at the clock is 500 s later: a machine that is far slower
    monkeypatch.setattr(quickstart.time, 'time', lambda: next(clock))
    quickstart.main(from_scratch=True, nproc=1)
    opening = started[0][1].splitlines()[0]
    before_training = begins(started, 'torchrun').splitlines()[-2]
    assert 'min' in opening and ' h ' not in opening, opening
    assert 'remain)' in before_training and ' h ' in before_training.split('about')[-1], before_training
