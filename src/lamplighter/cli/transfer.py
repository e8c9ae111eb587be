"""`lamplighter transfer`: from a folder of photos to a classifier."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lamplighter.cli import options
from lamplighter.cli.backbone_arguments import (
    Backbone,
    FitOption,
    Mean,
    Size,
    Std,
    chosen_backbone,
)
from lamplighter.cli.data_arguments import found_files, say
from lamplighter.cli.info import trust_text
from lamplighter.cli.options import AsJson, listed_names
from lamplighter.cli.outputs import check_new_bundle
from lamplighter.cli.terminal import bar, printable, quoted, wrapped
from lamplighter.cli.train_images import SPLITS, write_splits
from lamplighter.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lamplighter.datasets.files import Progress
    from lamplighter.transfer.ladder import Ladder
    from lamplighter.transfer.strategies import Rung

_RUNGS = ("knn", "svm", "linear", "head", "blocks", "full")
_SEED = 7


def _named_rungs(text: str) -> str:
    known: tuple[str, ...] = _RUNGS
    if not set(text.split(",")) <= set(_RUNGS):  # some may be of plug-ins
        from lamplighter.models.registry import list_strategies

        known = tuple(list_strategies())
    return ",".join(listed_names("rung", text, known))


def transfer(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A folder with one folder of photos per class, a .zip of it, or "
            "a CSV file of paths.",
        ),
    ],
    backbone: Backbone = "efficientnet-lite0",
    rungs: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            callback=_named_rungs,
            help="The methods to try, separated by commas: knn, svm and linear take "
            "seconds; head, blocks and full take minutes.",
        ),
    ] = ",".join(_RUNGS),
    precision: Annotated[
        Literal["fp32", "int8", "auto"],
        typer.Option(
            metavar="KIND",
            help="fp32: exact; int8: the network in 8-bit integers, faster; auto: int8 if it is "
            "measured to be faster here and loses at most half a point on validation. The bundle "
            "answers with it as well.",
        ),
    ] = "fp32",
    budget: Annotated[
        float,
        typer.Option(
            metavar="MINUTES",
            min=0.01,
            help="Time limit, after which no rung is started. head, blocks and full "
            "are also left out if they would take longer than the time that is "
            "left.",
        ),
    ] = 10.0,
    fit: FitOption = None,
    size: Size = None,
    mean: Mean = None,
    std: Std = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Regular expression; files whose names give the same match stay in "
            "one split, such as '^[^_]*_[^_]*' for all frames of one scene.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Random seed: the same seed gives the same result."),
    ] = _SEED,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The bundle to write.")] = Path(
        "photos.lamp"
    ),
    no_audit: Annotated[
        bool, typer.Option("--no-audit", metavar="", help="Do not audit the files first.")
    ] = False,
    unbalanced: Annotated[
        bool,
        typer.Option(
            "--unbalanced",
            metavar="",
            help="Do not weight the classes: those with more images count more.",
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", metavar="", help="Continue an interrupted fine-tuning."),
    ] = False,
    no_refit: Annotated[
        bool,
        typer.Option(
            "--no-refit",
            metavar="",
            help="Keep the validation images held out: do not train the best method on them too.",
        ),
    ] = False,
    force: Annotated[bool, options.force("Overwrite the bundle if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a classifier for your photos, by transfer from a pretrained network.

    Several methods (the rungs of a ladder) are tried, from fast to slow, and the best is kept. All
    use the features that the pretrained network computes. Each is evaluated on the validation
    images; the best is then trained again on training and validation images together. The test
    images are used once, at the end. Ctrl-C stops, and compares the rungs done so far.
    """
    check_new_bundle(out, "--out", force=force)
    checkpoints = _checkpoints(out)
    if not (resume or force):
        _check_unused(checkpoints)
    from lamplighter.saving.bundle import save
    from lamplighter.transfer.ladder import climb_ladder

    files = found_files(folder, group=group)
    _, network = chosen_backbone(backbone, files, fit, size=size, mean=mean, std=std)
    try:
        ladder = climb_ladder(
            files,
            backbone=network,
            rungs=rungs.split(","),
            budget=budget,
            balanced=not unbalanced,
            seed=seed,
            audit=not no_audit,
            folder=checkpoints,
            resume=resume,
            refit=not no_refit,
            precision=precision,
            watch=_Watch(),
        )
    except (KeyboardInterrupt, SystemExit):  # Lightning makes a SystemExit of SIGTERM
        say(f"lamplighter: stopped; {_kept(checkpoints)}")
        raise typer.Exit(1) from None
    try:
        save(ladder.classifier, out)
    except OutputError as error:
        raise OutputError(f"{str(error).rstrip('.')}; {_kept(checkpoints)}") from error
    _forget(checkpoints, ladder)
    _note_splits(ladder, checkpoints)
    if as_json:
        typer.echo(json.dumps(ladder.to_dict(), indent=2))
        return
    typer.echo(_text(ladder, out))
    say(
        f"next: lamplighter predict {quoted(out)} PHOTO, or lamplighter evaluate {quoted(out)} "
        f"{quoted(checkpoints / SPLITS)}"
    )


def _note_splits(ladder: Ladder, checkpoints: Path) -> None:
    """Write which image is in which split beside the bundle, or say why that failed."""
    try:
        checkpoints.mkdir(exist_ok=True)
        write_splits(ladder.files, checkpoints)
    except (OSError, OutputError) as error:  # the bundle is there
        say(
            f"which image is in which split could not be written to {checkpoints / SPLITS}: {error}"
        )


def _text(ladder: Ladder, out: Path) -> str:
    validation = ladder.chosen.report
    parts = [
        f"{ladder.chosen.report.data}: measured on {validation.count:,} validation images "
        f"of {len(validation.class_names)} classes",
        ladder.table(),
        wrapped(ladder.recommendation()),
    ]
    parts += map(str, ladder.tests)
    if ladder.classifier.trust is not None:
        parts.append(trust_text(ladder.classifier.trust))
    parts.append(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
    text = "\n\n".join(part for part in parts if part)
    return "\n".join(printable(line) for line in text.split("\n"))


def _checkpoints(out: Path) -> Path:
    """Return the folder beside the bundle in which fine-tuning keeps its checkpoints.

    Raises:
        OutputError: it would be the bundle itself.
    """
    folder = out.with_suffix(".transfer")
    if folder == out:
        raise OutputError(f"--out must not end in .transfer, received {out}; write NAME.lamp.")
    return folder


def _check_unused(checkpoints: Path) -> None:
    """Refuse to start again where a fine-tuning was interrupted.

    Raises:
        OutputError: there is a checkpoint of it.
    """
    if _has_checkpoint(checkpoints):
        raise OutputError(
            f"{checkpoints} holds an interrupted fine-tuning: continue it with "
            "--resume, or start again with --force."
        )
    if (checkpoints / SPLITS).exists():
        raise OutputError(
            f"{checkpoints} holds the splits of an earlier classifier: choose "
            "another --out, or overwrite it with --force."
        )


def _has_checkpoint(checkpoints: Path) -> bool:
    return any((folder / "last.ckpt").is_file() for folder in _folders(checkpoints, _RUNGS))


def _folders(checkpoints: Path, rungs: Iterable[str]) -> list[Path]:
    """Return where checkpoints of these rungs are kept, and of their learning again."""
    return [checkpoints / f"{name}{end}" for name in rungs for end in ("", "-refit")]


def _kept(checkpoints: Path) -> str:
    if _has_checkpoint(checkpoints):
        return f"the last complete epoch is kept in {checkpoints}: continue with --resume."
    return "the feature vectors computed so far are kept, and nothing else."


def _forget(checkpoints: Path, ladder: Ladder) -> None:
    """Remove the checkpoints of the rungs that are done; one that was stopped can go on."""
    done = {rung.name for rung in ladder.rungs}
    begun = (checkpoints / f"{ladder.chosen.name}-refit" / "last.ckpt").is_file()
    if begun and ladder.refitted is None:  # both are needed to go on
        done.remove(ladder.chosen.name)
    for folder in (*_folders(checkpoints, sorted(done)), checkpoints):
        with contextlib.suppress(OSError):
            for file in (folder / "last.ckpt", folder / "plan.json"):
                file.unlink(missing_ok=True)
            folder.rmdir()
    if _has_checkpoint(checkpoints):
        say(
            f"{checkpoints} keeps the interrupted fine-tuning; to continue it, give "
            "--resume and --force"
        )


class _Watch:
    """Tells each step on stderr."""

    def __init__(self) -> None:
        self.verbose = 2 if sys.stderr.isatty() else 1

    def say(self, line: str) -> None:
        """Write a step."""
        say(line)

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Progress | None]:
        """Draw a bar."""
        with bar(label) as progress:
            yield progress

    def rung_begun(self, name: str, *, refit: bool) -> None:
        """Keep still: what comes of it is said."""

    def epoch_done(self, epoch: int, epochs: int, metrics: Mapping[str, Any]) -> None:
        """Keep still: Lightning draws them."""

    def rung_done(self, rung: Rung) -> None:
        """Keep still: its scores are said."""
