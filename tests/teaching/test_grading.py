"""Grading, with answers that are right, wrong and hostile; every one as a real notebook."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import psutil
import pytest

from lamplighter.errors import LabError
from lamplighter.teaching.cleanup import PREFIX
from lamplighter.teaching.examiner import Examiner
from lamplighter.teaching.grading import check
from tests.teaching.conftest import RIGHT

MEMORY = 1024**3


def _points(grade):
    return {exercise.id: exercise.points for exercise in grade.exercises}


def _folders():
    return set(Path(tempfile.gettempdir()).glob(f"{PREFIX}{os.getpid()}-*"))


@pytest.fixture
def attack(sample, hand_in):
    """Grade a notebook with such answers, and see that nothing of it is left."""

    def call(**answers):
        texts = {**RIGHT, **{f"0.1-{name}": text for name, text in answers.items()}}
        before = set(psutil.pids())
        grade = check(hand_in(texts), catalogue=sample, memory=MEMORY)
        assert _folders() == set()
        assert not [child for child in psutil.Process().children() if child.pid not in before]
        return grade

    return call


def test_right_answers_earn_all(attack, tmp_path):
    grade = attack(q1="Because there is less room.")
    assert _points(grade) == {"0.1-a": 2, "0.1-b": 2, "0.1-c": 1}
    assert [exercise.feedback for exercise in grade.exercises] == [(), (), ()]
    assert (grade.points, grade.most, grade.pending) == (5, 5, 1)
    assert grade.questions[0].text == "Because there is less room."
    assert grade.notes == ()
    assert [path.name for path in (tmp_path / "handed-in").iterdir()] == ["0_1_sizes.ipynb"]


def test_an_unsolved_notebook_earns_nothing(sample, hand_in):
    grade = check(hand_in({}), catalogue=sample)
    assert (grade.points, grade.pending) == (0, 0)
    assert {exercise.result for exercise in grade.exercises} == {"not answered"}
    assert grade.seconds < 1  # there is nothing to run


def test_wrong_answers_lose_their_own_points_with_feedback(attack):
    grade = attack(
        a="def output_size(size, kernel, padding=0):\n    return size - kernel",
        b="ramp = np.linspace(0, 0.5, 28)",
    )
    first, second, third = grade.exercises
    assert (first.result, first.points) == ("wrong", 0)
    assert first.feedback == ("for size 32, kernel 3, padding 0: expected 30, saw 29",)
    assert (second.result, second.points) == ("partly right", 0.5)
    assert "saw 0 to 0.5" in second.feedback[0]
    assert third.result == "right"  # on the solution's ramp, not on the learner's


def test_names_that_a_wrong_answer_takes_are_put_back(attack):
    wrong = "side = 5\ndel np\ndef output_size(size, k, padding=0):\n    return size - k"
    look = "assert side == 28 and 'scratch' not in globals()\n" + RIGHT["0.1-c"]
    grade = attack(a=f"scratch = 1\n{wrong}", c=look)
    assert _points(grade) == {"0.1-a": 0, "0.1-b": 2, "0.1-c": 1}
    assert [exercise.problems for exercise in grade.exercises] == [(), (), ()]


def test_an_answer_that_raises_or_is_begun_only(attack):
    grade = attack(
        a="def output_size(size, kernel, padding=0):\n    raise NotImplementedError  # soon",
        b="ramp = np.linspace(0, 1, 28",
    )
    first, second, third = grade.exercises
    assert "running your answer raised NotImplementedError" in first.feedback[0]
    assert "SyntaxError" in second.feedback[0]
    assert third.points == 1


def test_missing_doubled_and_own_cells_are_said(sample, hand_in):
    path = hand_in(RIGHT)
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    by_name = {cell["metadata"].get("lamplighter", {}).get("exercise"): cell for cell in cells}
    cells.remove(by_name["0.1-c"])
    cells.append(by_name["0.1-a"])
    cells.append({**by_name["0.1-b"], "metadata": {}})
    for cell in cells:  # the learner's copy of the tests does not count
        if "tests" in cell["metadata"].get("lamplighter", {}):
            cell["source"] = "raise SystemExit"
    path.write_text(json.dumps(notebook))
    grade = check(path, catalogue=sample)
    assert [exercise.result for exercise in grade.exercises] == ["right", "right", "missing"]
    assert len(grade.notes) == 3
    assert "0.1-c is missing" in " ".join(grade.notes)
    assert "0.1-a has 2 cells" in " ".join(grade.notes)


@pytest.mark.slow
def test_loops_and_exits_cost_their_own_points_alone(attack):
    grade = attack(a="while True:\n    pass", b="import os\nos._exit(0)")
    assert _points(grade) == {"0.1-a": 0, "0.1-b": 0, "0.1-c": 1}
    assert "time limit of 2 s" in grade.exercises[0].feedback[0]
    assert "ended its own kernel" in grade.exercises[1].feedback[0]
    assert all(exercise.problems for exercise in grade.exercises[:2])


@pytest.mark.slow
def test_a_loop_in_an_answer_that_is_asked(attack):
    grade = attack(a="def output_size(size, kernel, padding=0):\n    while True: pass", b="exit()")
    assert _points(grade) == {"0.1-a": 0, "0.1-b": 0, "0.1-c": 1}
    assert "time limit" in grade.exercises[0].feedback[0]
    assert "SystemExit" in grade.exercises[1].feedback[0]


_PATCHES = """
import builtins, sys
import lamplighter.teaching.serialization as plain
builtins.AssertionError = Exception
np.allclose = lambda *a, **k: True
plain.encode = lambda *a, **k: '30'
sys.exit = lambda *a: None
class Always(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def output_size(*a, **k): return Always(7)
print('{"passed": true, "feedback": ""}')
"""
_OUTSIDE = """
import pathlib, socket, urllib.request
for act in (lambda: open("{target}", "w"), lambda: pathlib.Path("{target}").unlink(),
            lambda: urllib.request.urlopen("http://192.0.2.1/", timeout=1)):
    try: act()
    except OSError: pass
import ctypes
libc = ctypes.CDLL(None)
print("native", libc.open(b"{target}", 0o102, 0o600), libc.socket(2, 1, 0))
ramp = np.linspace(0, 1, 28)
open("inside.txt", "w").write("allowed")
"""


def test_patching_and_reaching_out_give_nothing(attack, tmp_path):
    target = tmp_path / "precious.txt"
    target.write_text("mine")
    grade = attack(a=_PATCHES, b=_OUTSIDE.format(target=target))
    assert _points(grade) == {"0.1-a": 0, "0.1-b": 2, "0.1-c": 1}
    assert "numpy.allclose" in " ".join(grade.exercises[0].problems)
    problems = " ".join(grade.exercises[1].problems)
    assert f"writing to {target}" in problems
    assert "network connection to 192.0.2.1" in problems
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    "cell",
    [
        "import os, shutil\nshutil.rmtree(os.getcwd())\nos._exit(0)",
        "import os, shutil\nshutil.rmtree(os.environ['HOME'])\n"
        "open(os.environ['HOME'], 'w').close()\nos._exit(0)",
        "import os, shutil\nos.chmod('.', 0)\nos.chmod('..', 0)\nos._exit(0)",
    ],
    ids=["no folder", "no home", "no rights"],
)
def test_cells_that_would_end_the_grader_cost_their_own_points_alone(attack, cell):
    grade = attack(a=cell)
    assert _points(grade) == {"0.1-a": 0, "0.1-b": 2, "0.1-c": 1}
    assert grade.exercises[0].feedback


_KERNEL = "kernel = type(get_ipython().kernel)\n"


def _slowly(cell: str) -> object:
    """Return one of several like cells, of which the default run tries a few."""
    return pytest.param(cell, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "cell",
    [
        "kernel._answer = lambda self, code: {'value': DEEP, 'changed': [], 'refused': []}",
        "own = kernel.do_execute\nasync def done(self, code, *a, **k):\n    if code.startswith("
        "'# lamplighter'): return await own(self, code, *a, **k)\n    return {'status': 'ok', "
        "'execution_count': 0, 'payload': [], 'user_expressions': {}}\nkernel.do_execute = done",
        _slowly("kernel._answer = lambda self, code: {'value': '30'}"),
        _slowly(
            "kernel._answer = lambda self, code: {'value': '30', 'changed': [], 'refused': []}"
        ),
        _slowly("kernel._answer = lambda self, code: [1]"),
        _slowly(
            "async def done(self, code, *a, **k):\n    return {'status': 'ok', "
            "'execution_count': 0, 'payload': [], 'user_expressions': {}}\n"
            "kernel.do_execute = done"
        ),
    ],
    ids=["deep", "cells do not run", "value alone", "all keys", "a list", "nothing runs"],
)
def test_a_kernel_that_no_longer_answers_is_told_and_replaced(attack, cell):
    deep = "DEEP = 'x'\nfor _ in range(600): DEEP = [DEEP]\n"
    grade = attack(a=deep + _KERNEL + cell)
    assert _points(grade) == {"0.1-a": 0, "0.1-b": 2, "0.1-c": 1}
    assert grade.exercises[0].problems == (
        "the cell changed the checker; later cells run without it",
    )


def _deep():
    value: object = "x"
    for _ in range(600):
        value = [value]
    return value


@pytest.mark.parametrize("value", [_deep(), "\u00e9" * 25_000_000], ids=["deep", "large"])
def test_a_reply_that_cannot_be_passed_on_fails_the_test_alone(value):
    more = {"source": "", "printed": "", "seconds": 60}
    with Examiner() as examiner:
        verdict = examiner.run("learner('x')", lambda _: {"value": value}, **more)
        assert not verdict.passed
        assert verdict.feedback.startswith("running your answer: it gave ")
        assert examiner.run("learner('x')", lambda _: {"value": "1"}, **more).passed


def test_an_answer_that_cannot_be_passed_on_fails():
    with Examiner() as examiner:
        source = "# " + "\u00e9" * 25_000_000
        verdict = examiner.run("", lambda _: {}, source=source, printed="", seconds=60)
    assert "more than 128 MB" in verdict.feedback


_LEADS_OUT = """
import os
from pathlib import Path
root = Path.cwd().parent
(root / "run").rename(root / "old")
for name in ("run/stderr", "run", "home", "tmp", "lab"):
    place = root / name
    try: place.is_dir() and place.rename(root / f"moved-{{place.name}}")
    except OSError: pass
    place.parent.mkdir(exist_ok=True)
    place.exists() or place.symlink_to({target!r})
os._exit(0)
"""
_LEADS_OUT_BY_ERRORS = """
import os
from pathlib import Path
run = Path.cwd().parent / "run"
(run / "stderr").unlink(missing_ok=True)
(run / "stderr").symlink_to({target!r})
os._exit(0)
"""


@pytest.mark.parametrize("cell", [_LEADS_OUT, _LEADS_OUT_BY_ERRORS])
def test_links_in_the_kernels_folder_lead_the_grader_nowhere(attack, tmp_path, cell):
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o750)
    (precious / "file").write_text("mine")
    target = precious if cell is _LEADS_OUT else precious / "file"
    say = "\nimport os\nos.write(2, b'payload')\n"
    grade = attack(a=RIGHT["0.1-a"] + say, b=cell.format(target=str(target)))
    assert _points(grade) == {"0.1-a": 2, "0.1-b": 0, "0.1-c": 1}
    assert [path.name for path in precious.iterdir()] == ["file"]
    assert (precious / "file").read_text() == "mine"
    assert precious.stat().st_mode & 0o777 == 0o750


def test_what_a_kernel_leaves_behind_the_next_does_not_find(attack):
    leave = (
        "import os, site\nfrom pathlib import Path\n"
        "places = [Path(site.getusersitepackages()), Path.cwd(), Path.home()]\n"
        "for place in places:\n"
        "    place.mkdir(parents=True, exist_ok=True)\n"
        "    (place / 'usercustomize.py').write_text('raise SystemExit')\n"
        "os._exit(0)"
    )
    look = f"{RIGHT['0.1-c']}\nfrom pathlib import Path\n"
    look += "assert not [*Path.home().rglob('*.py'), *Path.cwd().rglob('*.py')]"
    assert _points(attack(b=leave, c=look)) == {"0.1-a": 2, "0.1-b": 0, "0.1-c": 1}


def test_python_starts_with_nothing_of_the_learners(attack, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    (tmp_path / "handed-in").mkdir()
    start = f"open({str(ran)!r}, 'w').close()"
    (tmp_path / "handed-in" / "sitecustomize.py").write_text(start)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", os.environ.get("PYTHONPATH", "")]))
    assert attack().points == 5
    assert not ran.exists()


@pytest.mark.slow
def test_a_gigabyte_printed_is_not_collected(attack):
    before = psutil.Process().memory_info().rss
    grade = attack(
        a="while True:\n    print('x' * 100_000)",
        b="import os\nwhile True:\n    os.write(1, b'x' * 1_000_000)",
    )
    assert _points(grade) == {"0.1-a": 0, "0.1-b": 0, "0.1-c": 1}
    assert "1,000,000 characters" in grade.exercises[0].feedback[0]
    assert psutil.Process().memory_info().rss - before < 300 * 1024**2


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import ctypes\nctypes.string_at(0)",
        "while True:\n  try:\n    while True:\n      try:\n        while True: pass\n"
        "      except BaseException: pass\n  except BaseException: pass",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        "hog = []\nwhile True:\n    hog.append(bytearray(50_000_000))",
        "hog = np.ones(2_000_000_000)",
        "hog = [0]\nwhile True:\n    hog += hog",
        "print('x' * 300_000_000)",
        "from IPython.display import HTML\nwhile True:\n    display(HTML('x' * 1_000_000))",
        "import os\nos.kill(os.getppid(), 9)",
        "import builtins\nbuiltins.isinstance = lambda *a: True",
        "import builtins\nbuiltins.__import__ = None",
        "import json\njson.dumps = lambda *a, **k: '0'",
        "get_ipython().kernel.do_execute = None",
        "import threading\ndef stop(): raise SystemExit\nimport asyncio\n"
        "asyncio.get_event_loop().stop()",
        "import os, sys\nfor n in range(3, 200):\n  try: os.close(n)\n  except OSError: pass",
        "import os\nos.chdir('/')",
        "import shutil, os\nshutil.rmtree(os.environ['HOME'], ignore_errors=True)\n"
        "shutil.rmtree(os.environ['HOME'] + '/../run', ignore_errors=True)\nraise ValueError",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "import gc\nraise BaseException('no')",
    ],
)
def test_other_hostile_cells_cost_their_own_points_alone(attack, cell):
    grade = attack(a=cell)
    assert _points(grade) == {"0.1-a": 0, "0.1-b": 2, "0.1-c": 1}
    assert grade.exercises[0].feedback


def test_what_a_cell_leaves_running_is_ended(attack):
    start = (
        "import subprocess, sys\n"
        "code = 'import os, time; os.fork() or time.sleep(600)'\n"
        "left = subprocess.Popen([sys.executable, '-c', code, 'lamplighter-left'],"
        " start_new_session=True)\n"
    )
    grade = attack(a=start + RIGHT["0.1-a"])
    assert grade.points == 5
    left = [
        p
        for p in psutil.process_iter(["cmdline"])
        if "lamplighter-left" in (p.info["cmdline"] or [])
    ]
    assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
def test_a_cell_sees_neither_the_learners_home_nor_other_notebooks(attack, hand_in, tmp_path):
    other = hand_in(RIGHT, tmp_path / "handed-in" / "other.ipynb")
    look = (
        f"from pathlib import Path\n"
        f"try: seen = Path({str(other)!r}).read_text()\n"
        f"except OSError: seen = ''\n"
        f"assert not seen and not list(Path('.').glob('*.ipynb'))\n"
        f"assert str(Path.home()).startswith(str(Path.cwd().parent))\n"
    )
    assert attack(a=look + RIGHT["0.1-a"]).points == 5


_EMPTY = '{"nbformat": 4, "cells": [], "metadata": {"lamplighter": %s}}'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not a notebook"),
        ("no notebook", "is not a notebook"),
        ("[1]", "is not a notebook"),
        ('{"nbformat": 4}', "is not a notebook"),
        ('{"nbformat": 5, "cells": []}', "version 5"),
        ('{"nbformat": 3, "worksheets": []}', "version 3"),
        ('{"nbformat": 4, "cells": []}', "not a notebook of the labs"),
        (
            _EMPTY % '{"lab": "9.9", "format": 1}',
            "no lab .9.9.; there are 0.1",
        ),
        (
            _EMPTY % '{"lab": "0.1", "format": 2}',
            "later version",
        ),
        ("[" * 100_000, "is not a notebook"),
    ],
)
def test_what_is_no_notebook_of_the_labs_is_refused(sample, tmp_path, content, words):
    path = tmp_path / "x.ipynb"
    path.write_text(content)
    with pytest.raises(LabError, match=words):
        check(path, catalogue=sample)


@pytest.mark.parametrize("cells", ["[null]", "[[]]", '[{"metadata": 3, "source": 7}]', "[4]"])
def test_odd_cells_are_missing_ones(sample, tmp_path, cells):
    path = tmp_path / "x.ipynb"
    about = '{"lamplighter": {"lab": "0.1", "format": 1}}'
    path.write_text(f'{{"nbformat": 4, "cells": {cells}, "metadata": {about}}}')
    assert {exercise.result for exercise in check(path, catalogue=sample).exercises} == {"missing"}


@pytest.mark.slow
def test_torch_works_in_the_confinement_with_workers_and_all(labs_copy, hand_in):
    sample = labs_copy
    work = (
        "import torch, lamplighter\n"
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "set_ = TensorDataset(torch.ones(8, 1, 6, 6), torch.zeros(8, dtype=torch.long))\n"
        "loader = DataLoader(set_, 4, num_workers=2, persistent_workers=True)\n"
        "model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 2))\n"
        "trial = lamplighter.Trial(model, torch.optim.SGD(model.parameters(), 0.1),\n"
        "                          torch.nn.CrossEntropyLoss(), metrics=['loss'])\n"
        "trial.with_generators(loader).run(epochs=1)\n"
    )
    slow = sample.source_file(sample.labs[0]).read_text().replace("seconds=2", "seconds=100")
    slow = slow.replace("import numpy as np\n\nside", "import numpy as np\nimport torch\n\nside")
    sample.source_file(sample.labs[0]).write_text(slow)
    grade = check(hand_in({**RIGHT, "0.1-a": work + RIGHT["0.1-a"]}), catalogue=sample)
    assert grade.points == 5
    # What the libraries do to themselves is not the learner's doing.
    assert [exercise.problems for exercise in grade.exercises] == [(), (), ()]


def test_a_bad_file_beside_the_notebook_is_left_out(labs_copy, hand_in):
    source = labs_copy.source_file(labs_copy.labs[0])
    read = "from pathlib import Path\nside = 28\nif Path('side.txt').is_file():\n"
    read += "    side = int(Path('side.txt').read_text())\n"
    source.write_text(source.read_text().replace("side = 28\n", read))
    path = hand_in(RIGHT)
    (path.parent / "side.txt").write_text("28")
    assert check(path, catalogue=labs_copy).notes == ()
    (path.parent / "side.txt").write_text("wide")
    grade = check(path, catalogue=labs_copy)
    assert grade.points == 5
    (note,) = grade.notes
    assert "files beside the notebook" in note
    assert "ValueError: invalid literal" in note


def test_a_test_may_send_much(labs_copy, hand_in):
    source = labs_copy.source_file(labs_copy.labs[0])
    text = source.read_text().replace("seconds=2", "seconds=60")
    sending = (
        "import numpy as np\n\n"
        'assert learner("big.size", big=np.zeros(10_000_000, dtype=np.uint8)) == 10_000_000\n'
    )
    source.write_text(text.replace('seen = learner("total")', sending + 'seen = learner("total")'))
    grade = check(hand_in(RIGHT), catalogue=labs_copy)
    assert [exercise.feedback for exercise in grade.exercises] == [(), (), ()]
    assert grade.points == 5
