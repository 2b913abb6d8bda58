"""Mutation test of the notebooks: which one-token faults do a notebook's own tests notice?

    python tools/mutate.py --seed 1 --count 200 --output report.txt
    python tools/mutate.py --resume report.txt              # goes on with what is pending
    python tools/mutate.py --resume report.txt --again      # tries the survivors again, after new tests

A mutation changes one token of an exported cell: an operator, a comparison, a number, `min` for `max`, a lost `not`. Lines are drawn uniformly
from all exported lines of the chapters that have such a token. Each mutation is written into a copy of the repository, into the cell of the
notebook (whose tests run its own definitions) and into the exported module (which other processes import). The working tree is not touched.

The report is plain text with one line per mutation, its fields separated by tabs. A survivor that changes nothing that a test could see is
equivalent: write `equivalent: ` and the reason into the last field. The summary leaves it out of the share, and a later run keeps it.
"""

import argparse
import ast
import hashlib
import importlib
import io
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tokenize
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASELINES = ROOT / '_proc' / 'mutate_baselines.json'  # hash of a notebook -> seconds without a mutation
PACKAGES = (  # imported once, before the processes fork; not xray2ct, which each process imports with its mutation
    'numpy scipy.ndimage scipy.spatial torch torch.nn.functional matplotlib.pyplot nibabel SimpleITK pydicom nanodrr PIL.Image safetensors.torch '
    'tqdm.auto anywidget ipywidgets jinja2 fastcore.test fastcore.script skimage.metrics monai.networks.nets nbdev.test execnb.shell '
    'matplotlib_inline.backend_inline'
).split()

BINARY = {  # operator of two operands -> what it may become
    '+': ['-'], '-': ['+'], '*': ['/'], '/': ['*'], '//': ['*'], '%': ['*'], '**': ['*'], '@': ['*'],
    '&': ['|'], '|': ['&'], '^': ['|'], '<<': ['>>'], '>>': ['<<'],
    '<': ['<=', '>'], '<=': ['<', '>='], '>': ['>=', '<'], '>=': ['>', '<='], '==': ['!='], '!=': ['=='],
    'and': ['or'], 'or': ['and'], 'in': ['not in'], 'is': ['is not'],
    '+=': ['-='], '-=': ['+='], '*=': ['/='], '/=': ['*='], '//=': ['*='], '|=': ['&='], '&=': ['|='],
}  # fmt: skip
PAIRS = (
    'min max, amin amax, minimum maximum, argmin argmax, fmin fmax, nanmin nanmax, clamp_min clamp_max, floor ceil, sin cos, any all, '
    'True False, break continue, zeros ones, zeros_like ones_like, mean sum, append extend'
)
WORDS = {a: b for pair in PAIRS.split(', ') for a, b in (pair.split(), pair.split()[::-1])}
MESSAGES = {'print', 'log', 'warnings.warn', 'report_once'}  # calls whose arguments are text for a reader


@dataclass(frozen=True)
class Mutation:
    "A changed token of an exported cell, and what its notebook's tests made of it."

    result: str  # pending, caught, survived, timeout; gone: the token is no longer there; broken: the tests fail without it
    seconds: str  # of the processor that the tests took; a dash where they did not run
    notebook: str  # below nbs/
    place: str  # cell:line:column, the line counted from 1 inside the cell
    before: str  # the token
    after: str  # what stands there instead
    line: str  # the line as it was
    note: str = ''  # how it was caught, or why it is equivalent

    def text(self):
        return '\t'.join(vars(self).values())


def chapters(only=''):
    "Notebooks of the chapters, all or those whose path begins with `only`."
    found = sorted((ROOT / 'nbs').glob('[0-9][0-9]_*/*.ipynb'))
    return [p for p in found if p.relative_to(ROOT / 'nbs').as_posix().startswith(only)]


def exported_cells(notebook):
    "Id and source of the exported cells of a notebook's JSON."
    for cell in notebook['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] == 'code' and re.search(r'^#\| *exports?\b', source, re.M):
            yield cell['id'], source


def excluded(tree):
    "Nodes whose tokens stay: docstrings and bare texts, type hints, messages, imports."
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.Raise, ast.JoinedStr)):
            yield node
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in MESSAGES:
            yield node
        yield from filter(None, (getattr(node, 'annotation', None), getattr(node, 'returns', None)))


def operators(tree):
    "Intervals of the source that hold an operator of two operands, and the unary operators."
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            yield node.left, node.right
        elif isinstance(node, ast.AugAssign):
            yield node.target, node.value
        elif isinstance(node, (ast.BoolOp, ast.Compare)):
            operands = node.values if isinstance(node, ast.BoolOp) else [node.left, *node.comparators]
            yield from zip(operands, operands[1:])


def other_numbers(text):
    "What a number may become."
    value = ast.literal_eval(text)
    if isinstance(value, int):
        return [str(v) for v in dict.fromkeys((value + 1, value - 1, value * 2)) if v != value]
    return [repr(value * 2), repr(value / 2)] if value else ['1.0']


def candidates(source):
    "(line, column, token, replacement) of every mutation of a cell, the line counted from 1."
    tree = ast.parse(source)
    lines = source.splitlines()

    def at(line, offset):  # ast counts bytes, tokenize characters
        return line, len(lines[line - 1].encode()[:offset].decode())

    def begin(node):
        return at(node.lineno, node.col_offset)

    def end(node):
        return at(node.end_lineno, node.end_col_offset)

    fixed = [(begin(n), end(n)) for n in excluded(tree)]
    gaps = [(end(a), begin(b)) for a, b in operators(tree)]
    unary = {begin(n): n for n in ast.walk(tree) if isinstance(n, ast.UnaryOp)}
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for t, following in zip(tokens, tokens[1:]):
        if any(a <= t.start < b for a, b in fixed):
            continue
        changes = []
        if t.type == tokenize.NUMBER and 'j' not in t.string.lower():
            changes = other_numbers(t.string)
        elif t.start in unary and t.string in ('not', '-', '~'):
            changes = ['+'] if t.string == '-' else ['']
        elif t.string in BINARY and any(a <= t.start < b for a, b in gaps):
            changes = BINARY[t.string]
            if (t.string, following.string) == ('is', 'not'):
                continue
        elif t.string == 'not' and following.string == 'in':
            changes = ['']
        elif t.type == tokenize.NAME and t.string in WORDS:
            changes = [WORDS[t.string]]
        for change in changes:
            yield *t.start, t.string, change


def mutate(source, place, before, after):
    "The cell with its token replaced; None where another token stands there."
    line, column = map(int, place.split(':')[1:])
    lines = source.splitlines(keepends=True)
    if line > len(lines) or not lines[line - 1].startswith(before, column):
        return None
    lines[line - 1] = lines[line - 1][:column] + after + lines[line - 1][column + len(before) :]
    return ''.join(lines)


def all_mutations(only=''):
    "{(notebook, cell, line): its mutations}."
    found = {}
    for path in chapters(only):
        name = path.relative_to(ROOT / 'nbs').as_posix()
        for cell, source in exported_cells(json.loads(path.read_text())):
            for line, column, before, after in candidates(source):
                place = f'{cell}:{line}:{column}'
                text = source.splitlines()[line - 1].strip()
                found.setdefault((name, cell, line), []).append(
                    Mutation('pending', '-', name, place, before, after, text)
                )
    return found


def draw(count, seed, only=''):
    "Draw lines uniformly and without repetition, and a mutation of each."
    rng = random.Random(seed)
    by_line = all_mutations(only)
    lines = rng.sample(list(by_line), min(count, len(by_line)))
    return [rng.choice(by_line[line]) for line in lines]


def make_copy(folder):
    "Copy what git tracks or does not ignore, as the working tree has it, into a repository of its own."
    listed = subprocess.run(['git', 'ls-files', '-zco', '--exclude-standard'], cwd=ROOT, capture_output=True, check=True)
    for name in set(filter(None, listed.stdout.decode().split('\0'))):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git(folder, 'init')
    git(folder, 'add', '-A')
    git(folder, '-c', 'user.name=mutate', '-c', 'user.email=mutate@localhost', 'commit', '-m', 'copy')
    compiled = [sys.executable, '-m', 'compileall', '-q', '--invalidation-mode', 'checked-hash', 'xray2ct']
    subprocess.run(compiled, cwd=folder, check=True)  # by hash: a mutation has the size and the second of the file it replaces


def git(folder, *args):
    "Run git in a copy."
    subprocess.run(['git', *args], cwd=folder, check=True, capture_output=True)


def reset(folder):
    "Take back what a run left in the copy; the compiled files stay, since they carry the hash of their source."
    git(folder, 'reset', '--hard')
    git(folder, 'clean', '-fdxq', '-e', '__pycache__')


def apply(folder, m):
    "Write a mutation into the notebook and the module of a copy; False where its token has gone."
    path = folder / 'nbs' / m.notebook
    notebook = json.loads(path.read_text())
    cell = next((c for c in notebook['cells'] if c.get('id') == m.place.split(':')[0]), None)
    source = ''.join(cell['source']) if cell else ''
    mutated = mutate(source, m.place, m.before, m.after)
    if mutated is None:
        return False
    cell['source'] = mutated.splitlines(keepends=True)
    path.write_text(json.dumps(notebook))
    module = module_of(folder, notebook)
    text = module.read_text()
    old, new = code_of(source), code_of(mutated)
    if text.count(old) != 1:
        raise SystemExit(f'{module.relative_to(folder)}: does not hold cell {cell["id"]} of {m.notebook} once. Run nbdev_export first.')
    module.write_text(text.replace(old, new))
    return True


def code_of(source):
    "A cell without its directives, as the module has it."
    return re.sub(r'^(#\|.*\n)+', '', source).strip()


def module_of(folder, notebook):
    "File of the package that a notebook exports to."
    sources = '\n'.join(''.join(c['source']) for c in notebook['cells'] if c['cell_type'] == 'code')
    name = re.search(r'^#\| *default_exp +(\S+)', sources, re.M)[1]
    path = folder / 'xray2ct' / name.replace('.', '/')
    return path.with_suffix('.py') if path.with_suffix('.py').exists() else path / '__init__.py'


def preload():
    "Import the packages once; one that is not installed is imported by the tests that need it, which then skip or fail."
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            pass


def child(folder, name, flags, memory_gb, limit):
    "Run the tests of a notebook of a copy in this process, and end it with 0 if they pass."
    os.setsid()  # its children can be ended with it
    os.chdir(folder)
    scratch = folder / '_proc' / 'tmp'
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE='1', TMPDIR=str(scratch), OMP_NUM_THREADS='1', TOKENIZERS_PARALLELISM='false',
    )  # fmt: skip
    tempfile.tempdir = None
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_gb * 2**30),) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit) + 5))
    output = os.open(folder / '_proc' / 'output.txt', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from nbdev.config import get_config
    from nbdev.test import test_nb

    skipped = set(get_config().tst_flags.split())
    passed, _ = test_nb(folder / 'nbs' / name, skip_flags=skipped, force_flags=flags, basepath=folder)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if passed else 1)  # without what hangs at the end of a process


def first_failure(folder):
    "The cell and the exception that ended a run, from its output."
    text = re.sub(r'\x1b\[[\d;]*m', '', (folder / '_proc' / 'output.txt').read_text(errors='replace'))
    cells = re.findall(r'While Executing Cell #(\d+)', text)
    names = re.findall(r'^([A-Za-z_.]*(?:Error|Exception|Exit|Interrupt|Warning|Failed)\w*)', text, re.M)
    return ' '.join([f'cell {cell}' for cell in cells[-1:]] + [name.split('.')[-1] for name in names[-1:]])


class Slot:
    "A copy of the repository in which one notebook runs at a time."

    def __init__(self, folder, flags, memory_gb):
        self.folder, self.flags, self.memory_gb = folder, flags, memory_gb
        self.pid = None
        folder.mkdir()
        make_copy(folder)

    def start(self, name, limit):
        "Start a run that may take `limit` seconds of the processor, and five times as long on a busy machine."
        self.deadline = time.monotonic() + 5 * limit
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                child(self.folder, name, self.flags, self.memory_gb, limit)
            finally:
                os._exit(1)

    def ended(self):
        "Tell whether the run is over or over its time."
        return self.exited() or time.monotonic() > self.deadline

    def exited(self):
        "Tell whether the process has ended, without giving its id free: `finish` still kills its group by that id."
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def finish(self):
        "End a run and what it started: (result, seconds of the processor, note)."
        late = not self.exited()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        self.pid = None
        seconds = usage.ru_utime + usage.ru_stime
        code = os.waitstatus_to_exitcode(status)
        if late or code == -signal.SIGXCPU:
            return 'timeout', seconds, ''
        if code == 0:
            return 'survived', seconds, ''
        return 'caught', seconds, first_failure(self.folder) if code == 1 else f'exit code {code}'


class Runner:
    "Runs mutations in copies of the repository; the times without a mutation are kept from run to run."

    def __init__(self, folder, jobs=1, flags='', limit=300, memory_gb=6):
        preload()
        self.limit = limit
        self.flags = flags
        self.slots = [Slot(folder / f'copy{i}', flags.split(), memory_gb) for i in range(jobs)]
        self.times = json.loads(BASELINES.read_text()) if BASELINES.exists() else {}

    def key(self, name):
        "What a baseline belongs to: a notebook, its content, the flags."
        content = (self.slots[0].folder / 'nbs' / name).read_bytes()
        return f'{name} {self.flags} {hashlib.sha256(content).hexdigest()[:16]}'

    def keep(self, name, seconds):
        "Keep the time of a notebook without a mutation; None where its tests fail."
        self.times[self.key(name)] = seconds and round(seconds, 1)
        BASELINES.parent.mkdir(exist_ok=True)
        BASELINES.write_text(json.dumps(self.times, indent=1, sort_keys=True))

    def without_mutation(self, name):
        "Tell whether a notebook passes without a mutation: where it fails anyhow, a failure tells nothing. Asked once per notebook."
        if self.key(name) not in self.times:
            slot = self.slots[0]
            slot.start(name, 2 * self.limit)
            while not slot.ended():
                time.sleep(0.1)
            result, seconds, _ = slot.finish()
            reset(slot.folder)
            self.keep(name, seconds if result == 'survived' else None)
        return self.times[self.key(name)] is not None

    def judged(self, slot, m):
        "The result of a run that has ended."
        result, seconds, note = slot.finish()
        reset(slot.folder)
        if result == 'survived' and self.key(m.notebook) not in self.times:
            self.keep(m.notebook, seconds)  # a survivor shows that the tests pass
        return replace(m, result=result, seconds=f'{seconds:.1f}', note=note)

    def checked(self, mutations):
        "The mutations, those of notebooks that fail without one called broken."
        names = {m.notebook for m in mutations if m.result in ('caught', 'timeout')}
        broken = {name for name in sorted(names) if not self.without_mutation(name)}
        return [replace(m, result='broken') if m.notebook in broken else m for m in mutations]

    def close(self):
        "End what still runs."
        for slot in self.slots:
            if slot.pid:
                slot.finish()

    def run(self, mutations):
        "Yield (position, mutation with its result) as they are done."
        waiting = list(enumerate(mutations))[::-1]
        running = {}
        while waiting or running:
            for slot in self.slots:
                if slot in running or not waiting:
                    continue
                i, m = waiting.pop()
                if apply(slot.folder, m):
                    slot.start(m.notebook, self.limit)
                    running[slot] = i, m
                else:
                    yield i, replace(m, result='gone')
            time.sleep(0.1)
            for slot in [s for s in running if s.ended()]:
                i, m = running.pop(slot)
                yield i, self.judged(slot, m)


def summary(mutations):
    "Counts, and the share of what is not equivalent that was caught (a run over its time counts as caught)."
    counts = Counter(m.result for m in mutations)
    equivalent = sum(m.result == 'survived' and m.note.startswith('equivalent') for m in mutations)
    caught = counts['caught'] + counts['timeout']
    real = caught + counts['survived'] - equivalent
    words = ', '.join(f'{n} {result}' for result, n in sorted(counts.items()))
    return f'{words}; {equivalent} of the survivors equivalent; {caught} of {real} others caught ({100 * caught / max(1, real):.1f} %)'


def write_report(path, title, mutations):
    "Write the report; the old one stays whole until the new one is."
    head = [f'# {title}', f'# {summary(mutations)}', '# result, seconds, notebook, cell:line:column, before, after, line, note']
    partial = path.with_name(path.name + '.part')
    partial.write_text('\n'.join([*head, *(m.text() for m in mutations)]) + '\n')
    partial.replace(path)


def read_report(path):
    "(title, mutations) of a report."
    lines = path.read_text().splitlines()
    rows = [line.split('\t') for line in lines if line and not line.startswith('#')]
    return lines[0].removeprefix('# '), [Mutation(*row) for row in rows]


def parse():
    "The command line."
    about, _, rest = __doc__.partition('\n')
    p = argparse.ArgumentParser(description=about, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seed', type=int, default=0, help='of the draw')
    p.add_argument('--count', type=int, default=200, help='how many mutations to draw')
    p.add_argument('--only', default='', metavar='CHAPTER', help='beginning of a path below nbs/, such as 02_physics or 02_physics/04')
    p.add_argument('--jobs', type=int, default=1, help='how many at a time')
    p.add_argument('--flags', default='', help='flags of cells that are skipped otherwise, such as ddp or "ddp slow"')
    p.add_argument('--limit', type=float, default=300, help='seconds of the processor per mutation; on a busy machine five times as long')
    p.add_argument('--memory', type=float, default=6, help='GB of address space per mutation')
    p.add_argument('--output', type=Path, default=Path('mutations.txt'), help='the report')
    p.add_argument('--resume', type=Path, metavar='REPORT', help='go on with the pending mutations of this report')
    p.add_argument('--again', action='store_true', help='with --resume: also those that survived and are not called equivalent')
    return p.parse_args()


def main():
    args = parse()
    if args.resume:
        output = args.resume
        title, mutations = read_report(output)
    else:
        output = args.output
        if output.exists():
            raise SystemExit(f'{output}: exists. Go on with it by --resume, or name another.')
        only = f', only {args.only}' if args.only else ''
        flags = f', flags {args.flags}' if args.flags else ''
        title = f'{args.count} mutations, seed {args.seed}{only}{flags}'
        mutations = draw(args.count, args.seed, args.only)
        if not mutations:
            raise SystemExit(f'no notebook of the chapters begins with {args.only!r}')
    write_report(output, title, mutations)
    again = [m.result == 'pending' or args.again and m.result == 'survived' and not m.note for m in mutations]
    chosen = [i for i, wanted in enumerate(again) if wanted]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays behind
    with tempfile.TemporaryDirectory(prefix='mutate-') as folder:
        runner = Runner(Path(folder), args.jobs, args.flags, args.limit, args.memory)
        try:
            for k, m in runner.run([mutations[i] for i in chosen]):
                mutations[chosen[k]] = m
                write_report(output, title, mutations)
                print(f'{m.result:9}{m.seconds:>6} s  {m.notebook}  {m.before} -> {m.after or "nothing"}  in  {m.line}', flush=True)
            mutations = runner.checked(mutations)
            write_report(output, title, mutations)
        finally:
            runner.close()
    print(summary(mutations))


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    main()
