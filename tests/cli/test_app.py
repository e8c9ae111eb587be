"""How the command ends: its exit codes, its lines on stderr, what it imports and how fast."""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from lamplighter import __version__
from lamplighter.cli import app as application
from lamplighter.models.registry import list_models

from .conftest import DIGITS, PATCHED, environment

COMMANDS = [
    "audit",
    "suspects",
    "studio",
    "data",
    "transfer",
    "embed",
    "similar",
    "train",
    "evaluate",
    "explain",
    "map",
    "predict",
    "info",
    "export",
    "card",
    "page",
    "serve",
    "models",
]


def test_help_without_a_command(run):
    alone, asked = run(), run("--help")
    assert alone.code == asked.code == 0
    assert alone.out.split() == asked.out.split()
    assert all(command in alone.out for command in COMMANDS)
    assert alone.err == ""


@pytest.mark.parametrize("columns", ["80", "100"])
def test_help_shows_each_command_once_in_its_group(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    lines = run("--help").out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    groups: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("╭─ "):
            groups[line.strip("╭─╮ ")] = found = []
        elif (row := re.match(r"│ ([a-z-]+) {2,}\S", line)) is not None:
            found.append(row[1])
    assert groups.pop("Options") == ["--version", "--help"]
    assert groups == {
        "Start here": ["data", "train", "evaluate", "predict", "models"],
        "Photos of your own": [
            "audit",
            "suspects",
            "studio",
            "transfer",
            "embed",
            "similar",
            "map",
            "labels",
        ],
        "Look inside a network": ["explain", "layers", "filters", "feature-maps", "maximise"],
        "Share": ["info", "export", "card", "page", "serve"],
        "Teach and learn": ["labs"],
    }


def test_help_of_the_labs_shows_their_commands(run):
    shown = run("labs", "--help").out
    assert "DIR | check NOTEBOOK | collect DIR" in shown
    assert re.findall(r"^│ (\w+) {2,}\S", shown, re.MULTILINE) == ["write", "check", "collect"]
    assert "--memory" in run("labs", "check", "--help").out
    assert "--out" in run("labs", "collect", "-h").out
    assert "--memory" not in run("labs", "my-labs", "--help").out  # as `labs write` says


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_fits_80_columns(run, command):
    outcome = run(command, "-h")
    assert outcome.code == 0
    assert outcome.err == ""
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert f"lamplighter {command}" in outcome.out


@pytest.mark.parametrize("command", [*COMMANDS, "layers", "filters", "maximise", "labs"])
def test_paragraphs_of_a_help_flow(run, command):
    lines = [line.strip() for line in run(command, "-h").out.splitlines()]
    text = lines[: next(number for number, line in enumerate(lines) if line.startswith("╭"))]
    for line, following in itertools.pairwise(text):
        if line and following:  # a line ends where the next word would not fit
            assert len(line) + 1 + len(following.split()[0]) > 78, line


def test_version(run):
    assert run("--version").out == f"lamplighter {__version__}\n"


def test_models(run):
    outcome = run("models")
    assert all(name in outcome.out for name in list_models())
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert json.loads(run("models", "--json").out) == list_models()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["frobnicate"], "No such command 'frobnicate'. See"),
        (["featuremaps"], "No such command 'featuremaps'. Did you mean 'feature-maps' or 'map'?"),
        (["train", "--recip", "lab"], "No such option: --recip. Did you mean '--recipe'? See"),
        (["maximise", "--all_classes"], "--all_classes. Did you mean '--all-classes'"),
        (["train", "mnist", "--recipe", "labb"], "'photos'. Did you mean 'lab'? See"),
        (["train", "mnist", "--recipe", "it's"], '"it\'s" is not one of'),
        (["train", "mnist", "--balance", "Weights"], "'sampler'. Did you mean 'weights'? See"),
        (["train", "mnst"], "received 'mnst'; did you mean 'mnist'?"),
        (["evaluate", "a.lamp", "emojis"], "received 'emojis'; did you mean 'emoji'?"),
        (["export", "a.lamp", "--format", "statedict"], "Did you mean 'state-dict'? See"),
        (["data", "emojis", "x"], "there is no data set 'emojis'; did you mean 'emoji'? There"),
        (["transfer", "x", "--rungs", "knm,svm"], "no rung 'knm'; did you mean 'knn'? There are"),
        (
            ["transfer", "x", "--rungs", "knn svm"],
            "linear, head, blocks, full. Separate them with commas.",
        ),
        (["explain", "a", "b", "--methods", "gradcamm"], "'gradcamm'; did you mean 'grad-cam'?"),
        (["labs", "chek", "x.ipynb"], "labs: No such command 'chek'. Did you mean 'check'? See"),
        (["labs"], "lamplighter labs: Missing command. See"),
        (["--frob"], "No such option: --frob"),
        (["train"], "lamplighter train: Missing argument 'DATA'. See lamplighter train --help."),
        (
            ["train", "--seed"],
            "lamplighter train: Option '--seed' requires an argument. See lamplighter train "
            "--help.",
        ),
        (
            ["train", "cifar"],
            "the data must be mnist or emoji, or an existing folder, zip or CSV file",
        ),
        (["train", "mnist", "--recipe", "slow"], "'slow' is not one of 'lab', 'quick', 'best'"),
        (["train", "mnist", "--model", "simple-cn"], "did you mean 'simple-cnn'?"),
        (
            ["train", "mnist", "--model", "pretrained"],
            "there is no network 'pretrained'; there are",
        ),
        (["train", "mnist", "--epochs", "0"], "'--epochs': it must be at least 1, received 0."),
        (["train", "mnist", "--epochs", "ten"], "'--epochs'"),
        (["train", "mnist", "--validation", "1"], "from 0 to 0.9, received 1.0"),
        (["train", "mnist", "--validation", "nan"], "from 0 to 0.9, received nan"),
        (["evaluate", "a.lamp"], "Missing argument 'DATA'"),
        (
            ["evaluate", "a.lamp", "cifar"],
            "the data must be mnist or emoji, or an existing folder, zip or CSV file",
        ),
        (["predict", "a.lamp"], "Missing argument 'IMAGE...'"),
        (["predict", "a.lamp", "x.png", "--top", "0"], "'--top': it must be at least 1"),
        (["predict", "a.lamp", "x.png", "--json", "--csv"], "choose one of --json and --csv"),
        (["export", "a.lamp"], "Missing option '--format'. Choose from: onnx, bundle, state-dict"),
        (["export", "a.lamp", "--format", "onyx"], "'onyx' is not one of 'onnx', 'bundle'"),
        (["info"], "Missing argument 'BUNDLE'"),
        (["models", "extra"], "extra"),
    ],
)
def test_bad_use_is_one_line_and_code_2(run, arguments, expected):
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert expected in outcome.line
    assert outcome.line.endswith(" --help.")
    assert "Value error" not in outcome.line


def test_an_unexpected_error_is_one_line(run, monkeypatch, bundle):
    def broken(path):
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr("lamplighter.saving.bundle.describe", broken)
    outcome = run("info", bundle)
    assert outcome.code == 1
    assert outcome.err == (
        "lamplighter: internal error: RuntimeError: first "
        "Please report it, with the traceback that LAMPLIGHTER_TRACEBACK=1 prints.\n"
    )
    monkeypatch.setenv("LAMPLIGHTER_TRACEBACK", "1")
    monkeypatch.setattr(sys, "argv", ["lamplighter", "info", str(bundle)])
    with pytest.raises(RuntimeError, match="first"):
        application.main()


def test_ctrl_c_anywhere_is_one_line(run, monkeypatch, bundle):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("lamplighter.saving.bundle.describe", interrupted)
    outcome = run("info", bundle)
    assert (outcome.code, outcome.err) == (1, "lamplighter: stopped.\n")


def test_ctrl_c_before_a_command_has_begun_is_one_line(run, monkeypatch, bundle):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(application, "main", interrupted)
    outcome = run("info", bundle)
    assert (outcome.code, outcome.err) == (1, "lamplighter: stopped.\n")


def test_ctrl_c_while_native_code_is_imported_is_one_line(run, monkeypatch, bundle):
    def interrupted(path):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:  # as pybind11 does
            raise ImportError("initialization failed") from error

    monkeypatch.setattr("lamplighter.saving.bundle.describe", interrupted)
    outcome = run("info", bundle)
    assert (outcome.code, outcome.err) == (1, "lamplighter: stopped.\n")


def test_names_cannot_steer_the_terminal(run, tmp_path):
    outcome = run("info", tmp_path / "a\x1b[31m\nb.lamp")
    assert outcome.code == 1
    assert "\x1b" not in outcome.line


def test_a_full_disk_behind_stdout_is_one_line(process, trained):
    with Path("/dev/full").open("w") as full:
        outcome = process("info", trained, stdout=full)
    assert outcome.code == 1
    assert "No space left on device" in outcome.line


def test_a_reader_that_leaves_is_no_error(start, trained):
    images = [DIGITS[0]] * 3
    read, write = os.pipe()
    os.close(read)  # as `| head` does when it has enough
    with start("predict", trained, *images, stdout=write) as running:
        os.close(write)
        assert running.communicate(timeout=60)[1] == ""


def without(streams: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `lamplighter ...` as a shell does with `2>&-`."""
    command = ["sh", "-c", f'exec "$@" {streams}', "sh", sys.executable, str(PATCHED)]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, env=environment()
    )


@pytest.mark.parametrize("streams", [pytest.param("2>&-", marks=pytest.mark.slow), "<&- 2>&-"])
def test_results_come_though_stderr_is_closed(streams, trained, tmp_path, cache_home):
    out = tmp_path / "a.lamp"
    measured = without(streams, "evaluate", trained, "mnist")
    learned = without(streams, "train", "mnist", "--epochs", "1", "--out", out)
    assert (measured.returncode, learned.returncode) == (0, 0)
    assert "accuracy" in measured.stdout
    assert f"wrote {out}" in learned.stdout
    assert out.is_file()


def test_errors_keep_their_code_though_all_is_closed(trained, tmp_path, cache_home):
    assert without("<&- >&- 2>&-", "info", trained).returncode == 0
    assert without("<&- >&- 2>&-", "info", tmp_path / "none.lamp").returncode == 1


def test_python_m(cache_home):
    done = subprocess.run(
        [sys.executable, "-m", "lamplighter", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"lamplighter {__version__}\n")


HEAVY = {"torch", "matplotlib", "onnx", "pytorch_lightning", "scipy", "sklearn", "torchvision"}
LOOK = """
import sys
from pathlib import Path
from lamplighter.cli import main
try:
    main()
finally:
    print(*sys.modules, file=open(sys.argv[-1] + ".modules", "w"))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["models"],
        ["train", "mnist", "--epochs", "0"],
        ["info", "BUNDLE"],
        ["predict", "BUNDLE", str(DIGITS[0])],
        ["evaluate", "BUNDLE", "mnist"],
        ["evaluate", "BUNDLE", "mnist", "--against", "BUNDLE", "--json"],
    ],
)
def test_nothing_heavy_is_imported(arguments, bundle, tmp_path):
    arguments = [str(bundle) if argument == "BUNDLE" else argument for argument in arguments]
    code = LOOK.replace("sys.argv[-1]", repr(str(tmp_path / "seen")))
    subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, env=environment())
    modules = set((tmp_path / "seen.modules").read_text().split())
    assert "lamplighter.cli" in modules
    assert not HEAVY & modules


@pytest.mark.slow  # a process beside it would be measured too
@pytest.mark.parametrize(
    ("arguments", "seconds"), [(["--help"], 0.4), (["predict", "BUNDLE", str(DIGITS[0])], 0.8)]
)
def test_a_cold_start_is_fast(arguments, seconds, trained):
    """CPU time, since the machine that tests may be busy with other work."""
    arguments = [str(trained) if argument == "BUNDLE" else argument for argument in arguments]
    kept = environment(PYTHONDONTWRITEBYTECODE="")  # as Python does where nobody forbids it
    spent = []
    for _ in range(15):  # the first may still read the files from disk and compile them
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "lamplighter", *arguments]
        subprocess.run(command, check=True, capture_output=True, env=kept)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert statistics.median(spent) <= seconds


def test_no_garbage_is_looked_for_at_the_end(cache_home):
    code = (
        "import atexit, gc, sys; from lamplighter.cli import main\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "True"
