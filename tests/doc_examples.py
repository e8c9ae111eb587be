"""The code blocks of the documents, found by sybil and run in the order of the page.

What a block is follows from its language:

- `python` is run, in one namespace for a page; `text` below it is compared with what it printed.
- `console` is run by a shell, each line after `$ `; the lines below are compared with the output.
- `sh` is read only: a training of minutes, another machine. Its commands must exist, with these
  options, and so must the targets of make and the extras of pip.

In what is compared, `...` stands for anything, a time or size for any other, and numbers with
decimals may differ by 5 %: processors round differently.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from lamplighter.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# Other programs in `sh` blocks, whose options are not ours.
# Those of `curl` are run in tests/serving.
_PROGRAMS = {"apt-get", "curl", "find", "nohup", "openssl", "scp", "source"}
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_ANYTHING = "..."
# Set where make runs the tests: a make below it would tell of the folder it enters.
_OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
# After these a number tells of this machine and run.
_VARYING = re.compile(r"^ ?(?:s|ms|MB|images/s)\b")


def run_page(page: Path) -> dict[str, Any]:
    """Run all blocks of a page in the current folder, and return the names of its Python.

    Raises:
        AssertionError: a block fails or prints something else; the message names its line.
    """
    python = PythonEvaluator()
    sybil = Sybil(
        [
            CodeBlockParser("python", lambda example: _python(example, python)),
            CodeBlockParser("text", _text),
            CodeBlockParser("console", _console),
            CodeBlockParser("sh", _sh),
        ]
    )
    environment = {key: value for key, value in os.environ.items() if key not in _OF_MAKE}
    environment["PATH"] = f"{_programs()}{os.pathsep}{os.environ['PATH']}"
    document = sybil.parse(page)
    document.namespace.update(__name__=page.stem, printed=None, environment=environment)
    for example in document.examples():
        try:
            example.evaluate()
        except Exception as error:
            raise AssertionError(f"{page}:{example.line}: {error}") from error
    return document.namespace


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the language and text of each block of a page."""
    found = re.finditer(
        r"^```(\w*)[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [(match[1], match[2]) for match in found]


def commands(page: Path) -> list[str]:
    """Return all shell commands of a page, those of `sh` blocks too."""
    lines = []
    for language, content in blocks(page):
        if language == "console":
            lines += [command for command, _ in _sessions(content)]
        elif language == "sh":
            lines += [line for line in content.splitlines() if line.strip()]
    return lines


def check_command(line: str) -> None:
    """Check that a command line exists, with these options, without running it.

    Raises:
        Exception: it does not.
    """
    for part in re.split(r"(?<=\s)[|<>&]+(?:\s|$)", line):
        words = shlex.split(part, comments=True)
        if not words or (len(words) == 1 and ("." in words[0] or "/" in words[0])):
            continue  # the file of a redirection
        program, *arguments = words
        if program == "nohup":
            program, *arguments = arguments
        _check(Path(program).name, arguments)


def differs(expected: str, printed: str) -> str | None:
    """Return how `printed` differs from `expected`, or None."""
    wanted = [line.rstrip() for line in expected.strip("\n").splitlines()]
    given = [line.rstrip() for line in printed.strip("\n").splitlines()]
    if _matches(wanted, given):
        return None
    return "expected\n" + "\n".join(wanted) + "\nprinted\n" + "\n".join(given)


def _matches(wanted: list[str], given: list[str]) -> bool:
    if not wanted:
        return not given
    if wanted[0].strip() == _ANYTHING:
        return any(_matches(wanted[1:], given[skip:]) for skip in range(len(given) + 1))
    return bool(given) and _line_matches(wanted[0], given[0]) and _matches(wanted[1:], given[1:])


def _line_matches(wanted: str, given: str) -> bool:
    pattern, close, place = "", [], 0
    text = re.sub(r"\s+", " ", wanted.strip())
    for number in _NUMBER.finditer(text):
        pattern += _literal(text[place : number.start()])
        place = number.end()
        varying = _VARYING.match(text[place:])
        if varying or "." in number[0]:
            pattern += r"(\d[\d,]*(?:\.\d+)?)"
            close.append(None if varying else number[0])
        else:
            pattern += re.escape(number[0])
    found = re.fullmatch(pattern + _literal(text[place:]), re.sub(r"\s+", " ", given.strip()))
    return found is not None and all(
        one is None or _near(one, other) for one, other in zip(close, found.groups(), strict=True)
    )


def _literal(text: str) -> str:
    return re.escape(text).replace(re.escape(_ANYTHING), ".*?")


def _near(wanted: str, given: str) -> bool:
    one, other = (float(number.replace(",", "")) for number in (wanted, given))
    last_place = 10.0 ** -len(wanted.partition(".")[2])
    return abs(one - other) <= max(0.05 * abs(one), 5 * last_place)


def _python(example: Example, evaluate: Callable[[Example], None]) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        evaluate(example)
    example.namespace["printed"] = printed.getvalue()


def _text(example: Example) -> None:
    printed = example.namespace["printed"]
    example.namespace["printed"] = None
    if printed is not None:
        assert not (fault := differs(example.parsed, printed)), fault


def _console(example: Example) -> None:
    example.namespace["printed"] = None
    for command, expected in _sessions(example.parsed):
        outcome = subprocess.run(
            ["bash", "-c", command],
            env={**example.namespace["environment"], "COLUMNS": "80", "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert outcome.returncode == 0, (
            f"{command} ends with {outcome.returncode}: {outcome.stdout}"
        )
        if expected.strip():
            assert not (fault := differs(expected, outcome.stdout)), f"{command}: {fault}"


def _sh(example: Example) -> None:
    example.namespace["printed"] = None
    for line in example.parsed.splitlines():
        check_command(line)


def _sessions(content: str) -> Iterable[tuple[str, str]]:
    """Yield each command of a console block with the output below it."""
    before, *parts = re.split(r"^\$ ", content, flags=re.MULTILINE)
    assert not before.strip(), f"a console block begins with a command, not with {before!r}"
    for part in parts:
        command, _, expected = part.partition("\n")
        yield command, expected


def _check(program: str, arguments: list[str]) -> None:
    if program == "lamplighter":
        root = typer.main.get_command(app)
        if arguments[0].startswith("-"):
            root.make_context("lamplighter", arguments, resilient_parsing=True)
            return
        command = root.get_command(typer.Context(root), arguments[0])
        assert command is not None, f"there is no command {arguments[0]}"
        command.make_context(arguments[0], arguments[1:])
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(arguments) <= set(targets), f"make has no target {arguments}"
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for found in re.findall(r"\[([\w,]+)\]", " ".join(arguments)):
            assert set(found.split(",")) <= set(extras["optional-dependencies"]), f"extra {found}"
    elif program.startswith("python"):
        scripts = [word for word in arguments if word.endswith(".py")]
        assert all((ROOT / script).is_file() for script in scripts), f"no script {scripts}"
    else:
        assert program in _PROGRAMS | {"ls", "mv"}, f"nobody has checked {program}"


def _programs() -> Path:
    """Make environments that run the code under test; return where the programs of `.venv` are.

    In `.venv-light` torch is out of sight.
    """
    torchless = shlex.quote(str(Path(__file__).parent / "torchless"))
    for environment, hidden in (
        (".venv", ""),
        (".venv-light", f"PYTHONPATH={torchless}:$PYTHONPATH "),
    ):
        folder = Path(environment, "bin").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "activate").touch()  # they are found without it
        for name, options in (("lamplighter", " -m lamplighter"), ("python", "")):
            program = folder / name
            python = shlex.quote(sys.executable)
            program.write_text(f'#!/bin/sh\n{hidden}exec {python}{options} "$@"\n')
            program.chmod(0o755)
    return Path(".venv", "bin").absolute()
