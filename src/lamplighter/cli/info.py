"""`lamplighter info`: what is in a bundle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamplighter.cli import options
from lamplighter.cli.classifier_arguments import bundle_of, named_classifier
from lamplighter.cli.options import AsJson, Bundle
from lamplighter.cli.outputs import check_new
from lamplighter.cli.terminal import printable, wrapped
from lamplighter.errors import OutputError
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamplighter.models.reliability import Trust


_MOST_INDENT = 30


_FEW = 6  # values that are shown one by one


def info(
    bundle: Bundle,
    as_json: AsJson = False,
    reliability: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw reliability diagrams, before and after calibration, to this PNG file.",
        ),
    ] = None,
    coverage: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Plot accuracy against coverage, the share of the images that are "
            "answered, to this PNG file.",
        ),
    ] = None,
    force: Annotated[bool, options.force("Overwrite the output files if they exist.")] = False,
) -> None:
    """Show what is in a bundle: classes, training, scores."""
    from lamplighter.saving.bundle import describe

    description = describe(bundle_of(bundle))
    _draw(bundle, reliability, coverage, force=force)
    if as_json:
        typer.echo(json.dumps(description, indent=2))
        return
    lines = [(printable(name), printable(value)) for name, value in _lines(description)]
    indent = min(max(len(name) for name, _ in lines) + 2, _MOST_INDENT)
    for name, value in lines:
        if len(name) >= indent:  # on a line of its own, so that the others keep their column
            typer.echo(name)
            name = ""
        typer.echo(wrapped(f"{name:<{indent - 1}} {value}", indent))


def _draw(bundle: Path, reliability: Path | None, coverage: Path | None, *, force: bool) -> None:
    """Write the plots that are asked for, all of them or none."""
    if reliability is None and coverage is None:
        return
    from lamplighter.evaluation.reliability_plots import plot_coverage, plot_reliability
    from lamplighter.files.writing import written_whole
    from lamplighter.models.reliability import Trust

    if reliability and coverage and reliability.resolve() == coverage.resolve():
        raise OutputError(
            "--reliability and --coverage must be two files, received one for both; choose another."
        )
    for path, option in ((reliability, "--reliability"), (coverage, "--coverage")):
        if path is not None:
            check_new(path, option, force=force)
    trust = named_classifier(bundle).trust or Trust()
    plots = ((reliability, plot_reliability), (coverage, plot_coverage))
    figures = [(path, plot(trust)) for path, plot in plots if path is not None]
    for path, figure in figures:
        with written_whole(path) as file:
            figure.savefig(file, format="png")


def _lines(description: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from lamplighter.images.preprocessing import Preprocessing

    architecture, record = description["architecture"], description["record"]
    own = str(architecture.get("class"))
    alone = "" if own.startswith("ONNX graph ") else " (a class of its own)"
    yield "network", architecture["name"] or f"{own}{alone}"
    if architecture.get("arguments"):
        yield "", _listed(architecture["arguments"])
    names = description["class_names"]
    yield "classes", f"{len(names)}: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
    yield "input", Preprocessing.from_dict(description["preprocessing"]).describe()
    if record["recipe"]:
        recipe = dict(record["recipe"])
        again = recipe.pop("refitted", None)
        yield "recipe", _listed(recipe)
        if isinstance(again, dict) and {"splits", "images"} <= set(again):
            learned = f"{' + '.join(map(str, again['splits']))} ({again['images']} images)"
            yield "", f"refitted on {learned}".replace("val ", "validation ")
    for split, score in record["scores"].items():
        yield f"{split} score", _score(score)
    if description["trust"] is not None:
        yield from trust_lines(description["trust"])
    for split, fingerprint in record["data"].items():
        yield f"{split} data", f"SHA-256 {str(fingerprint)[:16]}..."
    parity = description["parity"]
    if parity.get("failure"):
        yield (
            "ONNX graph",
            f"none, so torch answers in its place: {str(parity['failure']).rstrip('.')}",
        )
    if isinstance(parity.get("max_difference"), float):
        text = f"differs from the weights by at most {parity['max_difference']:.1e}"
        yield "ONNX graph", f"{text} on {parity.get('images', 'some images')}"
    yield "written", f"{description['created']} by {description['written_by']}"
    installed = {name: of for name, of in description["versions"].items() if of != "unknown"}
    yield "with", _listed(installed)


def trust_text(trust: Trust) -> str:
    """Return what is said of a trust that was just measured, as lines for stdout."""
    lines = trust_lines(asdict(trust))
    return "\n".join(wrapped(f"{what:<12} {said}", 13) for what, said in lines)


def trust_lines(trust: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is said of the trust, without measurements that are the owner's own."""
    from lamplighter.evaluation.intervals import estimate_from

    measured, temperature = trust["measured"], f"temperature {trust['temperature']:.3g}"
    try:
        before, after = (
            format(estimate_from(measured["calibration"][when]["error"]), ".1f")
            for when in ("before", "after")
        )
        note = measured["calibration"]["note"]
        said = f"error {before} before, {after} after"
        yield "calibration", f"{temperature}; " + (f"error {before}; {note}" if note else said)
    except (KeyError, TypeError, ValueError, OverflowError):
        yield "calibration", temperature
    if trust["threshold"] is None:
        return
    unknown = f"farther than {trust['threshold']:.3g} from the training images"
    try:
        coverage = format(estimate_from(measured["unknown"]["coverage"]), ".1f")
        held_out = "held-out" if "source" in measured else "validation"
        unknown += f"; {coverage} of the {held_out} images of known classes are nearer"
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    yield "unknown", unknown
    if isinstance(measured.get("source"), str):
        later = measured["unknown"].get("source") if isinstance(measured["unknown"], dict) else None
        what = "both" if later is None else "the calibration"
        yield "", f"{what} measured by {measured['source']}"


def _score(score: Any) -> str:
    """Return what was measured in words, or as it stands where it is the owner's own."""
    from lamplighter.evaluation.intervals import Estimate

    try:
        accuracy = Estimate(**score["accuracy"])
        said = f"accuracy {accuracy} on {counted(score['count'], 'image')} of {score['data']}"
        before = score.get("before_refit") is True
        return f"{said}, before the refit on train + validation" if before else said
    except (KeyError, TypeError, ValueError, OverflowError):
        return _listed(score) if isinstance(score, dict) else str(score)


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    """Return a value for a line of text; of a long list how many there are."""
    if isinstance(value, dict):
        return f"({_listed(value)})"
    if isinstance(value, list) and len(value) > _FEW:
        return f"({len(value)} values)"
    return str(value)
