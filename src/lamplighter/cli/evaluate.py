"""`lamplighter evaluate`: measure a classifier."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamplighter.cli import options
from lamplighter.cli.data_arguments import (
    classes_of,
    is_named,
    named_data,
    pixels_of,
    say,
    split_files,
)
from lamplighter.cli.options import AsJson, SplitName
from lamplighter.cli.outputs import (
    check_figure,
    check_new,
    check_picture,
    save_figure,
    save_picture,
)
from lamplighter.cli.terminal import printable, quoted, wrapped
from lamplighter.cli.train_images import SPLITS, learned_from
from lamplighter.errors import LamplighterError, OutputError
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lamplighter.datasets.files import ImageFiles
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.evaluation.comparison import Comparison
    from lamplighter.evaluation.report import Report
    from lamplighter.models.classifier import Classifier


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The classifier, NAME.lamp.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="The images to evaluate on: mnist, emoji, a folder with one folder "
            "of photos per class, a .zip of it, or a CSV file with the "
            "columns path and label.",
        ),
    ],
    split: SplitName = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE", help="A second classifier to compare with, on the same images."
        ),
    ] = None,
    confusion: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the confusion matrix to this file: PNG, PDF or SVG."
        ),
    ] = None,
    mistakes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the worst mistakes to this PNG file."),
    ] = None,
    reliability: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw a reliability diagram of these images: PNG, PDF or SVG.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write all of it as one HTML page, with the worst mistakes and how to use the "
            "classifier.",
        ),
    ] = None,
    force: Annotated[bool, options.force("Overwrite the output files if they exist.")] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a classifier; each score has its 95 % confidence interval."""
    _check_pictures(confusion, mistakes, reliability, force=force)
    if page is not None:
        _check_page(page, force=force)
    named = is_named(data)
    from lamplighter.evaluation.comparison import compare
    from lamplighter.evaluation.report import check_in_common
    from lamplighter.evaluation.report import evaluate as measure
    from lamplighter.saving.bundle import load

    classifier = load(bundle)
    other = load(against) if against is not None else None
    files, split = (None, split or "test") if named else split_files(data, split)
    present = classes_of(data, files)
    for path, asked in ((bundle, classifier), (against, other)):
        if asked is not None:  # before images are read as it sees them
            with _named(path if other else None):
                check_in_common(asked, present)
    images = _images(data, files, classifier)
    count = len(images[split])
    _warn(bundle, classifier, images, split, files)
    if other is None:
        with _progress(count) as progress:
            report = measure(classifier, images, split, progress=progress)
        values, text = report.to_dict(), _text(report)
    else:
        alike = other.preprocessing == classifier.preprocessing
        with _named(against):
            others = images if alike else _images(data, files, other)
        with _progress(2 * count) as progress:
            comparison = compare(classifier, other, images, split, data_b=others, progress=progress)
        report, values = comparison.a, comparison.to_dict()
        text = _comparison_text(comparison, str(bundle), str(against))
    typer.echo(json.dumps(values, indent=2) if as_json else text)
    _draw(report, images, confusion, mistakes)
    if reliability is not None:
        _draw_reliability(report, reliability)
    if page is not None:
        _write_page(page, classifier, report, images, bundle)
    if not as_json:
        for picture in filter(None, (confusion, mistakes, reliability, page)):
            typer.echo(printable(f"wrote {picture}"))


@contextlib.contextmanager
def _named(bundle: Path | None) -> Iterator[None]:
    """Say which of two bundles an error is of."""
    try:
        yield
    except LamplighterError as error:
        if bundle is None:
            raise
        raise type(error)(f"{bundle}: {error}") from error


def _images(data: str, files: ImageFiles | None, classifier: Classifier) -> ImageData:
    """Return the images as this classifier sees them."""
    preprocessing = classifier.preprocessing
    return named_data(data, preprocessing) if files is None else pixels_of(files, preprocessing)


def _warn(
    bundle: Path,
    classifier: Classifier,
    images: ImageData,
    split: str,
    files: ImageFiles | None,
) -> None:
    """Say on stderr where the classifier has learned from these images."""
    if classifier.record.data.get("train") == images.fingerprint(split):
        say(
            f"note: the classifier was trained on these {len(images[split]):,} images: scores on "
            "them say nothing about new images."
        )
        return
    from lamplighter.files.naming import lasting

    manifests = [bundle.with_suffix(kind) / SPLITS for kind in (".training", ".transfer")]
    manifest = next((path for path in manifests if path.is_file()), None)
    if files is None or manifest is None:
        return
    seen = learned_from(manifest, classifier.record.learned_splits) & {
        str(lasting(file).resolve()) for file in files.files
    }
    if seen:
        say(
            f"note: the classifier was trained on {len(seen):,} of these {len(files):,} images: "
            "scores on them say nothing about new images; for the images held out: "
            f"lamplighter evaluate {quoted(bundle)} {quoted(manifest)} --split test"
        )


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None] | None]:
    """Give what draws a bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with typer.progressbar(length=total, label="evaluating", file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)


def _comparison_text(comparison: Comparison, a: str, b: str) -> str:
    report, width = comparison.a, max(len(a), len(b))
    return (
        f"{report.data}, {report.split}: {counted(report.count, 'image')}\n"
        f"{printable(a):<{width}}  accuracy {comparison.a.accuracy}\n"
        f"{printable(b):<{width}}  accuracy {comparison.b.accuracy}\n"
        + wrapped(comparison.sentence(printable(a), printable(b)))
    )


def _text(report: Report) -> str:
    text = f"{report}\n\n{report.table()}\n\n{report.confusion_table()}"
    confusions = ", ".join(
        f"{true} predicted as {said} ({n})" for true, said, n in report.confusions()
    )
    if confusions:
        text += "\n\n" + wrapped(f"most frequent mistakes: {confusions}", 24)
    return "\n".join(printable(line) for line in text.split("\n"))


def _check_pictures(
    confusion: Path | None, mistakes: Path | None, reliability: Path | None, *, force: bool
) -> None:
    for figure, option in ((confusion, "--confusion"), (reliability, "--reliability")):
        if figure is not None:
            check_figure(figure, option, force=force)
    if mistakes is not None:
        check_picture(mistakes, "--mistakes", force=force)
    options = {"--confusion": confusion, "--mistakes": mistakes, "--reliability": reliability}
    seen: dict[Path, str] = {}
    for option, path in options.items():
        if path is None:
            continue
        other = seen.setdefault(path.resolve(), option)
        if other != option:
            raise OutputError(f"{other} and {option} must be two files, received {path} for both.")


def _check_page(page: Path, *, force: bool) -> None:
    if page.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"--page writes HTML, received {page}; name it {page.stem}.html.")
    check_new(page, "--page", force=force)


def _write_page(
    page: Path, classifier: Classifier, report: Report, images: ImageData, bundle: Path
) -> None:
    from lamplighter.evaluation.report_page import report_page
    from lamplighter.files.writing import written_whole

    text = report_page(classifier, [report], images, title=bundle.stem, bundle=bundle.name)
    with written_whole(page) as file:
        file.write(text.encode())


def _draw(report: Report, data: ImageData, confusion: Path | None, mistakes: Path | None) -> None:
    if confusion is not None:
        from lamplighter.evaluation.plots import plot_confusion

        save_figure(plot_confusion(report), confusion)
    if mistakes is not None:
        from lamplighter.evaluation.sheets import mistakes_sheet

        save_picture(mistakes_sheet(report, data), mistakes)


def _draw_reliability(report: Report, file: Path) -> None:
    from lamplighter.evaluation.reliability_plots import plot_report_reliability

    save_figure(plot_report_reliability(report), file)
