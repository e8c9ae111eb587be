"""The README's Python runs as it stands, on fewer images."""

import re
import shutil
from pathlib import Path

import pytest

import lamplighter

ROOT = Path(__file__).parent.parent


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "src/lamplighter/data/digit_files/digit-3.jpg", tmp_path / "my-digit.jpg")
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


def test_the_commands_that_it_names_are_there():
    from typer.testing import CliRunner

    from lamplighter.cli.app import app

    text = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"^(?:\$ )?lamplighter ([a-z]+)", text, re.MULTILINE))

    assert {"train", "evaluate", "predict", "info", "export"} <= commands
    for command in commands:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_links_lead_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text())

    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []
