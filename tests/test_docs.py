"""The pages in docs/ run as they stand, on fewer images."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from lamplighter.cli.app import app
from lamplighter.datasets.emoji import emoji_files
from lamplighter.inference.predictor import predict_pixels
from lamplighter.saving.bundle import load

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
KEPT = {"bird", "drink", "sea"}  # of the emoji's classes: enough to run on
# What takes minutes, on any number of images.
SLOW = ("lamplighter train", "lamplighter transfer drawings --rungs linear,head,blocks,full")
AFTER_SLOW = (
    "lamplighter evaluate small.lamp",
    "lamplighter maximise digits.lamp",
    "lamplighter explain digits.lamp",
)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Return the fenced blocks of a page, each with the line that it begins in."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in found]


def commands(page: Path) -> list[str]:
    """Return the commands in the console blocks of a page, in their order."""
    lines = "".join(content for _, content in blocks(page, "console")).splitlines()
    return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?lamplighter\b", line)]


def parsed(arguments: list[str]) -> None:
    """Take the arguments apart as the command would, and do nothing."""
    root = typer.main.get_command(app)
    command = root.get_command(typer.Context(root), arguments[0])
    assert command is not None, f"there is no command {arguments[0]}"
    command.make_context(arguments[0], arguments[1:])


def fewer() -> None:
    """Leave a few classes of the folder of emoji."""
    for folder in Path("drawings").glob("*/*"):
        if folder.is_dir() and folder.name not in KEPT:
            shutil.rmtree(folder)


def quick_commands(page: Path) -> list[str]:
    """Return the commands of a page that need no minutes, nor what such a one makes."""
    return [line for line in commands(page) if not line.startswith(SLOW + AFTER_SLOW)]


ALL_COMMANDS = [
    pytest.param(line, id=f"{page.stem}: {line}") for page in PAGES for line in commands(page)
]
WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
WITH_COMMANDS = [page for page in PAGES if quick_commands(page)]


def test_the_pages_have_what_is_tested() -> None:
    photos = ROOT / "docs" / "photos.md"

    assert {"photos", "explain", "own-network"} <= {page.stem for page in WITH_PYTHON}
    assert {"photos"} <= {page.stem for page in WITH_COMMANDS}
    assert len(blocks(photos, "python")) > 10
    assert {"data", "audit", "transfer", "predict", "embed", "similar"} <= {
        line.split()[1] for line in commands(photos)
    }


@pytest.mark.parametrize("line", ALL_COMMANDS)
def test_each_command_is_one(line: str) -> None:
    parsed(shlex.split(line)[1:])


def test_a_command_that_is_none_is_found() -> None:
    with pytest.raises(Exception, match="--colour"):
        parsed(["embed", "emoji", "--colour", "red"])
    with pytest.raises(AssertionError, match="no command"):
        parsed(["embedd", "emoji"])


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.stem)
@pytest.mark.slow
def test_the_python_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    emoji_files(Path("drawings"))
    fewer()

    names: dict[str, object] = {"__name__": page.stem}
    for line, content in blocks(page, "python"):
        # Lines above it, so that a traceback names the line of the page.
        exec(compile("\n" * line + content, str(page), "exec"), names)

    if page.stem == "photos":
        assert Path("best.lamp").is_file()
        assert Path("fits.png").is_file()
        assert names["moved"] > 0.1
        assert names["stays"] > 0.1
        assert names["trust"].threshold is not None
        assert "95 % interval" in capsys.readouterr().out
    if page.stem == "own-network":
        check_own_network(names)
    if page.stem == "explain":
        assert {"why.png", "why-1.png", "maps.png", "seven.png", "map.png"} <= {
            path.name for path in tmp_path.iterdir()
        }
        assert len(list(Path("watched").iterdir())) == 2


def check_own_network(names: dict[str, Any]) -> None:
    """The bundles answer as the networks do that were trained without Lamplighter."""
    test = names["digits"]["test"]
    inputs = (torch.from_numpy(test.images) / 255 - 0.1307) / 0.3081
    network = names["TwoLayers"]()
    for bundle in ("two-layers", "from-trial", "from-weights"):
        classifier = load(f"{bundle}.lamp")
        answers = predict_pixels(classifier, test.images)
        network.load_state_dict(classifier.weights())
        with torch.no_grad():
            expected = network(inputs).argmax(1).numpy()
        assert (answers.indices == expected).mean() > 0.999
        assert (answers.indices == test.labels).mean() > 0.88
    weights = [load(f"{bundle}.lamp").weights() for bundle in ("from-trial", "from-weights")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
@pytest.mark.slow
def test_the_quick_commands_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in quick_commands(page):
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}: {result.output} {result.exception!r}"
        fewer()

    if page.stem == "photos":
        assert {"drawings.lamp", "drawings.index", "features.npz", "similar.png"} <= {
            path.name for path in tmp_path.iterdir()
        }
