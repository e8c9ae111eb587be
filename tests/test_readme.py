"""The README's Python runs as it stands, on fewer images."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lamplighter
from lamplighter.cli.app import app

ROOT = Path(__file__).parent.parent


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the pictures that `make demo` leaves there."""
    monkeypatch.chdir(tmp_path)
    lamplighter.write_sample("digits", "digits")
    return tmp_path


def test_the_library_part_runs(workplace, tiny_digits, monkeypatch, capsys):
    monkeypatch.setattr(lamplighter.ImageData, "mnist", lambda: tiny_digits)
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)

    assert (workplace / "digits.lamp").is_file()
    assert (workplace / "curves" / "curves.png").is_file()
    assert len(names["trial"].history) <= 10
    assert "95 % interval" in capsys.readouterr().out
    assert len(names["answers"].top(3)[0]) == 3


def commands() -> list[list[str]]:
    """Return the commands in the README's blocks, in their order, without `lamplighter`."""
    page = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    text = "".join(content for language, content in blocks if not language)
    lines = re.findall(r"^(?:\$ )?lamplighter (.*)", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_the_commands_that_it_names_are_there():
    names = {command[0] for command in commands()}

    assert {"train", "evaluate", "predict", "info", "export", "transfer", "labs"} <= names
    for name in names:
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


def test_its_quick_commands_run_on_what_the_demo_leaves(workplace, tiny_digits):
    lamplighter.save(lamplighter.train(tiny_digits, epochs=1, verbose=0), "digits.lamp")
    quick = [one for one in commands() if one[1] == "digits.lamp"]

    assert {one[0] for one in quick} == {"predict", "info", "export"}
    for command in quick:
        outcome = CliRunner().invoke(app, command)
        assert outcome.exit_code == 0, (command, outcome.output, outcome.exception)
    assert (workplace / "digits.onnx").is_file()
    assert list((workplace / "seen").iterdir())


@pytest.mark.slow
def test_all_its_commands_run_one_after_the_other(workplace, tiny_digits, monkeypatch):
    monkeypatch.setattr(lamplighter.ImageData, "mnist", lambda: tiny_digits)
    lamplighter.save(lamplighter.train(tiny_digits, epochs=1, verbose=0), "digits.lamp")
    for command in commands():
        outcome = CliRunner().invoke(app, command)
        assert outcome.exit_code == 0, (command, outcome.output, outcome.exception)

    for name in ("better.lamp", "mistakes.png", "seen", "digits.onnx", "drawings.lamp"):
        assert (workplace / name).exists()
    assert len(list((workplace / "my-labs").iterdir())) == 5


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_links_lead_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text())

    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []
