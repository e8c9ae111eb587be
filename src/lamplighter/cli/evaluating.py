"""The command that measures: evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamplighter.cli.data import named_data

if TYPE_CHECKING:
    from lamplighter.data.image_data import ImageData
    from lamplighter.evaluation.report import Report


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="The classifier, NAME.lamp.")],
    data: Annotated[str, typer.Argument(help="What to test on: mnist.")],
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "test",
    against: Annotated[
        Path | None, typer.Option(help="Another classifier, to compare with on the same images.")
    ] = None,
    confusion: Annotated[
        Path | None, typer.Option(help="Draw the confusion matrix to this PNG file.")
    ] = None,
    mistakes: Annotated[
        Path | None, typer.Option(help="Draw the worst mistakes to this PNG file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure a classifier, each score with its 95 % interval."""
    from lamplighter.evaluation.comparison import compare
    from lamplighter.evaluation.report import evaluate as measure
    from lamplighter.saving.bundle import load

    classifier = load(bundle)
    other = load(against) if against is not None else None
    images = named_data(data)
    if other is None:
        report = measure(classifier, images, split)
        values, text = report.to_dict(), _text(report)
    else:
        comparison = compare(classifier, other, images, split)
        report, values = comparison.a, comparison.to_dict()
        a, b = str(bundle), str(against)
        width = max(len(a), len(b))
        text = (
            f"{images.name}, {split}: {report.count:,} images\n"
            f"{a:<{width}}  accuracy {comparison.a.accuracy}\n"
            f"{b:<{width}}  accuracy {comparison.b.accuracy}\n"
            f"{comparison.sentence(a, b)}"
        )
    _draw(report, images, confusion, mistakes)
    typer.echo(json.dumps(values, indent=2) if as_json else text)


def _text(report: Report) -> str:
    text = f"{report}\n\n{report.table()}\n\n{report.confusion_table()}"
    confusions = ", ".join(
        f"{true} taken for {said} ({n})" for true, said, n in report.confusions()
    )
    return f"{text}\n\nmost often: {confusions}" if confusions else text


def _draw(report: Report, data: ImageData, confusion: Path | None, mistakes: Path | None) -> None:
    from lamplighter.saving.writing import written_whole

    if confusion is not None:
        from lamplighter.evaluation.plots import plot_confusion

        with written_whole(confusion) as file:
            plot_confusion(report).savefig(file, format="png")
    if mistakes is not None:
        from lamplighter.evaluation.sheets import mistakes_sheet

        with written_whole(mistakes) as file:
            mistakes_sheet(report, data).save(file, format="png")
