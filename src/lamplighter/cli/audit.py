"""`lamplighter audit`: find bad files, copies, leakage and unbalanced classes."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamplighter.cli import options
from lamplighter.cli.data_arguments import found_files
from lamplighter.cli.options import AsJson, ImageFolder
from lamplighter.cli.outputs import check_new, save_picture
from lamplighter.cli.terminal import bar, printable, wrapped
from lamplighter.errors import LamplighterError, OutputError

if TYPE_CHECKING:
    from lamplighter.auditing.audit import Audit

_FINDINGS, _PAGE = "findings.json", "report.html"
_INDENT = 6


def audit(
    folder: ImageFolder,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Regular expression; files whose names give the same match form one group.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write findings.json, report.html and contact sheets of images to this folder.",
        ),
    ] = None,
    force: Annotated[bool, options.force("Overwrite the report in DIR if there is one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find bad files, poor photos, copies, leakage and unbalanced classes.

    Nothing is changed or deleted. The exit code is 0 whatever is found, and 1 if no image can be
    used.
    """
    if report is not None:
        _prepare(report, folder, force=force)
    from lamplighter.auditing.audit import audit as look

    files = found_files(folder, group=group)
    for note in files.notes:
        sys.stderr.write(printable(note) + "\n")
    with bar("auditing") as progress:
        found = look(files, progress=progress)
    if report is not None:
        _write(found, report, force=force)
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else _text(found))
    if not len(found.usable):
        sys.stderr.write(f"lamplighter: no image in {printable(str(folder))} can be used.\n")
        raise typer.Exit(1)


def _text(found: Audit) -> str:
    from lamplighter.auditing.report import audit_table

    findings, blank, classes = audit_table(found).partition("\n\n")
    lines = [wrapped(printable(line), _INDENT) for line in findings.split("\n")]
    table = "\n".join(printable(line) for line in classes.split("\n"))
    return "\n".join(lines) + blank + table


def _prepare(report: Path, folder: Path, *, force: bool) -> None:
    """Make the folder of the report; refuse one with a report in it, or within the images.

    Raises:
        OutputError: it cannot be used.
    """
    try:
        place, images = report.resolve(), folder.resolve()
        if images.is_dir() and (place == images or images in place.parents):
            raise OutputError(
                f"--report must be a folder outside the images, received {report}; "
                "choose another, since its pictures would be audited as images."
            )
        report.mkdir(parents=True, exist_ok=True)
    except LamplighterError:
        raise
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise OutputError(
            f"--report must be a folder that can be written to, received {report} "
            f"({reason}); choose another."
        ) from error
    for name in (_FINDINGS, _PAGE):
        check_new(report / name, "--report", force=force)


def _write(found: Audit, report: Path, *, force: bool) -> None:
    """Write the report; pictures of an earlier one that it replaces go."""
    from lamplighter.auditing.report import audit_page
    from lamplighter.auditing.sheet import audit_sheets
    from lamplighter.files.writing import written_whole

    sheets = audit_sheets(found)
    earlier = _sheets_of(report / _FINDINGS) if force else []
    for name in sheets:
        check_new(report / name, "--report", force=force)
    for name, sheet in sheets.items():
        save_picture(sheet, report / name)
    for name in set(earlier) - set(sheets):
        with contextlib.suppress(OSError):
            (report / name).unlink(missing_ok=True)
    with written_whole(report / _PAGE) as file:
        file.write(audit_page(found).encode())
    with written_whole(report / _FINDINGS) as file:
        document = {**found.to_dict(), "sheets": list(sheets)}
        file.write(json.dumps(document, indent=2).encode())


def _sheets_of(findings: Path) -> list[str]:
    """Return the sheets that an earlier report names, if there is one."""
    try:
        names = json.loads(findings.read_text()).get("sheets", [])
        return [n for n in names if Path(n).name == n and n.endswith(".png")]
    except (OSError, ValueError, AttributeError, TypeError):
        return []
