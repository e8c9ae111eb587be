"""The pages of the reference that are made from the code, and what the code has to say for it.

The commands come from typer, the errors from their classes. Each public name is on one page of
docs/reference/api, and has a docstring; so has each public method of a public class.
"""

from __future__ import annotations

import inspect
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import griffe
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig

# A warning here fails a strict build.
_LOGGER = logging.getLogger("mkdocs.hooks.reference")
_NAMED = re.compile(r"^::: lamplighter\.([\w.]+)$", re.MULTILINE)
_ELSEWHERE = {"__version__", "errors"}  # errors have a page of their own


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of commands and errors; warn of public names that are not documented."""
    project = Path(config.config_file_path).parent
    sys.path.insert(0, str(project / "src"))
    for path, content in (
        ("reference/commands.md", commands_page()),
        ("reference/errors.md", errors_page()),
    ):
        files.append(File.generated(config, path, content=content))
    public = public_names()
    package = griffe.load("lamplighter", search_paths=[project / "src"])
    for path in undocumented(package, public=public):
        _LOGGER.warning("%s has no docstring", path)
    pages = "".join(
        page.read_text(encoding="utf-8") for page in project.glob("docs/reference/api/*.md")
    )
    for fault in unlisted(pages, public=public):
        _LOGGER.warning(fault)
    return files


def public_names() -> set[str]:
    """Return the public names of Lamplighter, with those of the modules that are namespaces."""
    import lamplighter

    modules = ("callbacks", "watching")
    return set(lamplighter.__all__) | {
        f"{module}.{name}" for module in modules for name in getattr(lamplighter, module).__all__
    }


def commands_page() -> str:
    """Return the page of all commands, as typer's own `typer ... utils docs` writes it."""
    from typer import Context
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from lamplighter.cli.app import app

    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=Context(command), name="lamplighter")
    text = text.replace("# `lamplighter`", "# Commands", 1)
    for name, one in command.commands.items():  # typer cuts the sentences of its lists
        whole = one.get_short_help_str(limit=1000)
        text = re.sub(
            rf"^\* `{name}`: .*",
            lambda _, name=name, whole=whole: f"* [`{name}`](#lamplighter-{name}): {whole}",
            text,
            count=1,
            flags=re.MULTILINE,
        )
    # A code block of text, so that a sign such as < in an option stays what it is.
    return re.sub(r"```console\n\$ (.*)\n```", r"```text\n\1\n```", text)


def errors_page() -> str:
    """Return the page of all errors and what each stands for."""
    from lamplighter import errors

    tree = inspect.getdoc(errors) or ""
    drawn = tree.split("::", 1)[1].split("Each message", 1)[0]
    parts = [
        "# Errors",
        "Every error that Lamplighter raises on purpose is a `LamplighterError`, so that one "
        "`except` takes them all. A message is one line: what was expected, what was received, "
        "and how to mend it. On the command line that line is on stderr, and the exit code is 1; "
        "of bad use it is 2. `LAMPLIGHTER_TRACEBACK=1` shows where an unexpected one came from.",
        f"```text\n{inspect.cleandoc(drawn)}\n```",
        "All are in `lamplighter.errors`.",
    ]
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and kind.__module__ == errors.__name__:
            bases = " and a ".join(f"`{base.__name__}`" for base in kind.__bases__)
            parts += [f"## {name}", f"Is a {bases}.", _as_list(inspect.getdoc(kind) or "")]
    return "\n\n".join(parts) + "\n"


def _as_list(docstring: str) -> str:
    """Return a docstring with its section of arguments as a list."""
    text, _, arguments = docstring.partition("\nArgs:\n")
    rows = re.split(r"\n(?=\w)", inspect.cleandoc(arguments)) if arguments else []
    items = [f"- `{name}`: {' '.join(said.split())}" for name, _, said in map(_parted, rows)]
    return "\n\n".join([text.strip(), "\n".join(items)]).strip()


def _parted(row: str) -> tuple[str, str, str]:
    return row.partition(":")


def undocumented(package: griffe.Object, *, public: set[str]) -> Iterator[str]:
    """Yield the public names of a package without a docstring, and public methods without one."""
    for name in sorted(public):
        found = package[name]
        target = found.final_target if found.is_alias else found
        if name != "__version__" and not target.has_docstring:
            yield f"{package.path}.{name}"
        members = target.members.values() if target.is_class else ()
        for member in members:
            if (
                member.is_public
                and (member.is_function or member.is_class)
                and not member.name.startswith("__")
                and not member.has_docstring
            ):
                yield f"{package.path}.{name}.{member.name}"


def unlisted(pages: str, *, public: set[str]) -> list[str]:
    """Return what is wrong with the names on the pages of the API: missing, twice or unknown."""
    named = _NAMED.findall(pages)
    twice = {name for name in named if named.count(name) > 1}
    return [
        *(
            f"lamplighter.{name} is on no page of docs/reference/api"
            for name in sorted(public - _ELSEWHERE - set(named))
        ),
        *(f"lamplighter.{name} is on two pages" for name in sorted(twice)),
        *(f"lamplighter.{name} is not public" for name in sorted(set(named) - public)),
    ]
