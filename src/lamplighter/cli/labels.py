"""`lamplighter labels`: set the labels of a folder of photos, undo, and write them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from lamplighter.cli import options
from lamplighter.cli.data_arguments import say
from lamplighter.cli.options import AsJson
from lamplighter.cli.terminal import bar, printable, quoted
from lamplighter.text import align, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lamplighter.datasets.files import ImageFiles, SetAside
    from lamplighter.workspace.checking import FolderCheck, MarkedFile
    from lamplighter.workspace.journal import Step
    from lamplighter.workspace.workspace import Workspace

_STDIN = "-"
_MOST_STDIN = 2**28  # bytes: more is no list of files
_LAST = 5  # steps that the overview shows
_NAMED = 10  # files that a list names one by one


class LabelsGroup(TyperGroup):
    """The commands on a folder, whose name stands before them: `labels FOLDER set CLASS NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let options stand after the folder, and the help of a command without a folder."""
        if args and args[0] in self.commands and {"-h", "--help"} & set(args[1:]):
            args = [".", *args]
        elif args and args[0] in self.commands and not Path(args[0]).exists():
            raise typer.BadParameter(
                f"the folder stands before the command: labels FOLDER {args[0]}.", ctx
            )
        elif len(args) > 1 and args[1].startswith("-"):
            args = [args[1], args[0], *args[2:]]
        return super().parse_args(ctx, args)


Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...",
        help="Files: paths, folders, quoted patterns such as 'IMG_2*.jpg', the end of a path that "
        "no other file has, or - for paths on standard input.",
    ),
]
Null = Annotated[
    bool,
    typer.Option(
        "--null",
        "-0",
        metavar="",
        help="Paths on standard input end with a null character, as of find -print0.",
    ),
]
Count = Annotated[int, typer.Argument(metavar="[N]", min=1, help="How many steps.")]


def overview(
    context: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A folder of images, a .zip of it, or a CSV of paths."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Set the labels of your photos; every step can be undone.

    Without a command: where it stands. What is set goes to a journal in the folder. The photos
    stay as and where they are, and other commands read the folder as before: `apply` writes the
    labels as a manifest, or as a new folder.
    """
    context.obj = folder
    if context.invoked_subcommand is not None:
        if as_json:
            raise typer.BadParameter("--json stands after the command.")
        return
    with _opened(folder) as workspace:
        files = workspace.files()
        steps = workspace.steps()
        if as_json:
            _print_json(_document(workspace, files, steps))
            return
        for note in files.notes:
            say(f"note: {note}")
        _print_overview(workspace, files, steps)


def set_label(
    context: typer.Context,
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="A class; see `add`.")],
    names: Names,
    null: Null = False,
    as_json: AsJson = False,
) -> None:
    """Give files a class."""
    _change_files(
        context,
        names,
        lambda workspace, paths: workspace.label(paths, class_name),
        null=null,
        as_json=as_json,
    )


def clear(
    context: typer.Context, names: Names, null: Null = False, as_json: AsJson = False
) -> None:
    """Take the label of files away."""
    _change_files(
        context,
        names,
        lambda workspace, paths: workspace.label(paths, None),
        null=null,
        as_json=as_json,
    )


def aside(
    context: typer.Context,
    names: Names,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for whoever looks at it later.")
    ] = "set aside by hand.",
    null: Null = False,
    as_json: AsJson = False,
) -> None:
    """Leave files out of what `apply` writes."""
    _change_files(
        context,
        names,
        lambda workspace, paths: workspace.set_aside(paths, reason),
        null=null,
        as_json=as_json,
    )


def keep(context: typer.Context, names: Names, null: Null = False, as_json: AsJson = False) -> None:
    """Take back files that were set aside."""
    _change_files(
        context,
        names,
        lambda workspace, paths: workspace.keep(paths),
        null=null,
        as_json=as_json,
    )


def rename(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The class.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    as_json: AsJson = False,
) -> None:
    """Call a class otherwise."""
    _change(context, lambda workspace: workspace.rename_class(old, new), as_json=as_json)


def merge(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(metavar="CLASS... INTO", help="Classes, and last the one they go to."),
    ],
    as_json: AsJson = False,
) -> None:
    """Make classes part of another one."""
    if len(names) < 2:
        raise typer.BadParameter("name a class, and the one that it goes to.")
    _change(
        context, lambda workspace: workspace.merge_classes(names[:-1], names[-1]), as_json=as_json
    )


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="CLASS", help="Its name.")],
    as_json: AsJson = False,
) -> None:
    """Make a new class."""
    _change(context, lambda workspace: workspace.add_class(name), as_json=as_json)


def undo(context: typer.Context, count: Count = 1, as_json: AsJson = False) -> None:
    """Undo the last step, or the last N."""
    with _opened(context.obj) as workspace:
        _print_steps(workspace, workspace.undo(count), "undone", as_json=as_json)


def redo(context: typer.Context, count: Count = 1, as_json: AsJson = False) -> None:
    """Make what was undone once more: one step, or N."""
    with _opened(context.obj) as workspace:
        _print_steps(workspace, workspace.redo(count), "redone", as_json=as_json)


def log(context: typer.Context, as_json: AsJson = False) -> None:
    """List all steps, the last one first."""
    with _opened(context.obj) as workspace:
        steps = workspace.steps()
        if as_json:
            _print_json({"steps": [_step(step) for step in steps]})
            return
        for line in _history(steps[::-1]):
            typer.echo(line)
        if not steps:
            typer.echo("no steps yet")


def check(
    context: typer.Context,
    reread: Annotated[
        bool,
        typer.Option(
            "--reread",
            metavar="",
            help="Read each labelled file, also where size and time of change are as before.",
        ),
    ] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept", metavar="", help="Take the folder as it is now for what is compared with."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the journal with the folder: files that vanished, changed, moved or are new."""
    with _opened(context.obj) as workspace:
        with bar("looking", "files") as progress:
            found = workspace.check(reread=reread, progress=progress)
        if accept:
            workspace.accept()
    if as_json:
        _print_json(
            {
                "vanished": [_marked(file) for file in found.vanished],
                "changed": [_marked(file) for file in found.changed],
                "moved": [{"from": old, "to": new} for old, new in found.moved],
                "new": list(found.new),
            }
        )
        return
    for line in _check_lines(found):
        typer.echo(printable(line))


def apply(
    context: typer.Context,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET", help="A manifest, NAME.csv, or a new folder, for copies of the files."
        ),
    ],
    link: Annotated[
        bool,
        typer.Option("--link", metavar="", help="Make hard links in the new folder, not copies."),
    ] = False,
    force: Annotated[bool, options.force("Overwrite the manifest if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the labels: as a manifest, or as a new folder with a folder for each class.

    It is written whole or not at all, and read back before it takes its place.
    """
    with _opened(context.obj) as workspace, bar("copying", "files") as progress:
        applied = workspace.apply(target, force=force, link=link, progress=progress)
    if as_json:
        document = {
            "path": str(applied.path),
            "images": applied.images,
            "classes": applied.classes,
            "unlabelled": applied.unlabelled,
            "set_aside": applied.left_out,
            "notes": list(applied.notes),
        }
        _print_json(document)
        return
    more = ""
    if applied.unlabelled:
        more += f", {applied.unlabelled:,} without a label"
    if applied.left_out:
        more += f"; {counted(applied.left_out, 'file')} left out"
    images, classes = counted(applied.images, "image"), _classes(applied.classes)
    typer.echo(printable(f"wrote {applied.path}: {images}, {classes}{more}"))
    for note in applied.notes:
        say(f"note: {note}")
    say(f"next: lamplighter transfer {quoted(applied.path)}")


COMMANDS: dict[str, Callable[..., None]] = {
    "set": set_label,
    "clear": clear,
    "aside": aside,
    "keep": keep,
    "rename": rename,
    "merge": merge,
    "add": add,
    "undo": undo,
    "redo": redo,
    "log": log,
    "check": check,
    "apply": apply,
}


def _opened(folder: Path) -> Workspace:
    from lamplighter.workspace.workspace import Workspace

    with bar("looking", "files") as progress:
        return Workspace.open(folder, read_later=True, progress=progress)


def _change(
    context: typer.Context, change: Callable[[Workspace], Step | None], *, as_json: bool
) -> None:
    with _opened(context.obj) as workspace:
        step = change(workspace)
        # The step is safe by now; this may take long, and may be stopped.
        with bar("reading", "files") as progress:
            workspace.read_contents(progress=progress)
        _print_steps(workspace, [] if step is None else [step], "done", as_json=as_json)


def _change_files(
    context: typer.Context,
    names: Sequence[str],
    change: Callable[[Workspace, list[str]], Step | None],
    *,
    null: bool,
    as_json: bool,
) -> None:
    given = list(_given(names, null=null))
    _change(context, lambda workspace: change(workspace, workspace.select(given)), as_json=as_json)


def _given(names: Sequence[str], *, null: bool) -> Iterator[str]:
    """Yield the names, with those on standard input in the place of "-"."""
    if names.count(_STDIN) > 1:
        raise typer.BadParameter("- stands for standard input; give it once.")
    if null and _STDIN not in names:
        raise typer.BadParameter("-0 is for paths on standard input; give - as well.")
    for name in names:
        if name != _STDIN:
            yield name
            continue
        content = sys.stdin.buffer.read(_MOST_STDIN + 1)
        if len(content) > _MOST_STDIN or (not null and b"\0" in content):
            raise typer.BadParameter(
                "standard input must hold paths, one a line, or with -0 ended by null characters, "
                "received something else."
            )
        lines = content.split(b"\0") if null else content.splitlines()
        yield from (os.fsdecode(line) for line in lines if line)


def _print_steps(workspace: Workspace, steps: Sequence[Step], what: str, *, as_json: bool) -> None:
    if as_json:
        document = {"journal": str(workspace.journal), what: [_step(step) for step in steps]}
        _print_json(document)
        return
    for step in steps:
        before = f"{what}: " if what != "done" else ""
        typer.echo(printable(f"{before}step {step.id}: {step.action.sentence}"))
    if not steps:
        typer.echo("nothing changes: it is so already")


def _print_overview(workspace: Workspace, files: ImageFiles, steps: Sequence[Step]) -> None:
    counts = Counter(files.labels.tolist())
    unlabelled = counts.pop(-1, 0)
    parts = [counted(len(files), "image"), _classes(len(files.class_names))]
    if unlabelled:
        parts.append(f"{unlabelled:,} without a label")
    if files.set_aside:
        parts.append(f"{len(files.set_aside):,} set aside")
    typer.echo(printable(f"{files.name}: {', '.join(parts)}"))
    if files.class_names:
        rows = [(name, f"{counts[row]:,}") for row, name in enumerate(files.class_names)]
        typer.echo(align([("class", "images"), *((printable(n), c) for n, c in rows)]))
    for line in _few(f"set aside {one.path}: {one.reason}" for one in files.set_aside):
        typer.echo(printable(line))
    if not steps:
        typer.echo(printable(f"no steps yet; the first one begins a journal, {workspace.journal}"))
        say(f"next: lamplighter labels {quoted(workspace.source)} set CLASS NAME...")
        return
    typer.echo(printable(f"journal: {workspace.journal}, {counted(len(steps), 'step')}"))
    for line in _history(steps[: -_LAST - 1 : -1]):
        typer.echo(f"  {line}")
    say(f"next: lamplighter labels {quoted(workspace.source)} apply {files.name}.csv")


def _history(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(step.time))
        state = "" if step.done else "  (undone)"
        yield printable(f"{step.id:>4}  {moment}  {step.action.sentence}{state}")


def _check_lines(found: FolderCheck) -> Iterator[str]:
    if not any((found.vanished, found.changed, found.moved, found.new)):
        yield "the journal and the folder agree"
    yield from _few(f"vanished: {_said(file)}" for file in found.vanished)
    yield from _few(f"changed: {_said(file)}" for file in found.changed)
    yield from _few(f"moved: {old} is {new} now" for old, new in found.moved)
    yield from _few(f"new: {path}" for path in found.new)


def _said(file: MarkedFile) -> str:
    """Return a file with what a person said of it."""
    said = []
    if file.label is not None:
        said.append(f"labelled {file.label}" if file.label else "without a label")
    if file.reason is not None:
        said.append(f"set aside: {file.reason}")
    return f"{file.path} ({'; '.join(said)})" if said else file.path


def _few(lines: Iterable[str]) -> Iterator[str]:
    whole = list(lines)
    yield from whole[:_NAMED]
    if len(whole) > _NAMED:
        yield f"and {len(whole) - _NAMED:,} more like these; --json names them all"


def _classes(count: int) -> str:
    return counted(count, "class", "classes")


def _document(workspace: Workspace, files: ImageFiles, steps: Sequence[Step]) -> dict[str, Any]:
    counts = Counter(files.labels.tolist())
    pairs = zip(files.paths, files.labels, strict=True)
    return {
        "folder": str(workspace.source),
        "images": len(files),
        "classes": {name: counts[row] for row, name in enumerate(files.class_names)},
        "unlabelled": [path for path, label in pairs if label < 0],
        "set_aside": [_left_out(file) for file in files.set_aside],
        "journal": str(workspace.journal),
        "steps": [_step(step) for step in steps],
        "notes": list(files.notes),
    }


def _left_out(file: SetAside) -> dict[str, str]:
    return {"path": file.path, "reason": file.reason}


def _marked(file: MarkedFile) -> dict[str, str | None]:
    return {"path": file.path, "label": file.label, "reason": file.reason}


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.id,
        "time": round(step.time, 3),
        "done": step.done,
        "action": step.action.to_dict(),
    }


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))
