"""`lamplighter explain`: attribution maps as pictures, a table and a page."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamplighter.cli import options
from lamplighter.cli.classifier_arguments import named_classifier
from lamplighter.cli.data_arguments import say
from lamplighter.cli.options import AsJson, Bundle, listed_names
from lamplighter.cli.terminal import bar, printable, wrapped
from lamplighter.errors import ImageError

if TYPE_CHECKING:
    from lamplighter.explain.explanation import Explanation
    from lamplighter.explain.page import Shown
    from lamplighter.models.classifier import Classifier

METHODS = (
    "saliency",
    "smoothgrad",
    "integrated-gradients",
    "guided-backprop",
    "grad-cam",
    "occlusion",
)
_TABLE, _PAGE = "explanations.json", "index.html"
_MOST = 40  # letters of an image's name that go into the names of its pictures


def _named_methods(text: str) -> str:
    return ",".join(dict.fromkeys(listed_names("method", text, METHODS)))


def explain(
    bundle: Bundle,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="The image files.")],
    target: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="The class to explain. Default: the most probable class of each image.",
        ),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            callback=_named_methods,
            show_default=False,
            help=f"The attribution methods, separated by commas. Default: {', '.join(METHODS)}.",
        ),
    ] = ",".join(METHODS),
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            metavar="",
            help="Also run the sanity check (do the maps change when the network's "
            "weights are random?) and deletion curves (how fast does the "
            "probability fall when the marked pixels are removed?). Slower.",
        ),
    ] = False,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The folder to write to; it must be new or empty."),
    ] = Path("explanations"),
    force: Annotated[
        bool,
        options.force(
            "Write to a folder that is not empty, and overwrite files of the same names."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which parts of an image a prediction is based on.

    The results are a picture for each image and attribution method, a table (explanations.json)
    and a page for the browser (index.html) that needs no other file. A file that cannot be used
    is reported, the others are explained, and the exit code is 1.
    """
    _check_folder(out, force=force)
    classifier = named_classifier(bundle)
    from lamplighter.saving.tracing import needs_training_packages

    with needs_training_packages("explaining"):
        from lamplighter.explain.hooks import network_of
        from lamplighter.explain.page import page
        from lamplighter.models.classifier import class_index

    network_of(classifier)  # which may be missing, or take a second
    if target is not None:
        class_index(classifier.class_names, target)
    chosen = methods.split(",")
    explained, failures = _explained(classifier, images, chosen, target)
    measured: dict[str, Any] | None = None
    text = ""
    if compare and explained:
        explained, measured, text = _compared(classifier, explained, chosen)
    files, rows = _files(explained)
    document = {"classifier": str(bundle), "images": rows, "comparison": measured}
    document["errors"] = failures
    if explained:
        files[_TABLE] = (json.dumps(document, indent=2) + "\n").encode()
        errors = [failure["error"] for failure in failures]
        described = (
            f"{len(classifier.class_names):,} classes, {classifier.preprocessing.describe()}"
        )
        html = page(str(bundle), described, explained, failures=errors, comparison=text)
        files[_PAGE] = html.encode()
        _write(files, out, force=force)
    if as_json:
        typer.echo(json.dumps(document | {"folder": str(out)}, indent=2))
    elif explained:
        typer.echo(_text([one.explanation for one in explained], text, out))
    _end(explained, failures)


def _explained(
    classifier: Classifier,
    images: list[Path],
    methods: list[str],
    target: str | None,
) -> tuple[list[Shown], list[dict[str, str]]]:
    """Return an explanation with its pictures for each image, and an error for others."""
    from lamplighter.explain.explanation import explain as ask

    explained: list[Shown] = []
    failures: list[dict[str, str]] = []
    done, total = 0, len(images) * len(methods)
    with bar("explaining", "maps") as progress:

        def step() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, total)

        for image in images:
            try:
                explanation = ask(classifier, image, methods, target=target, progress=step)
            except ImageError as error:
                failures.append({"path": str(image), "error": str(error)})
                total -= len(methods)
                continue
            explained.append(_drawn(explanation))
    return explained, failures


def _drawn(explanation: Explanation) -> Shown:
    from lamplighter.explain.attribution.plots import plot_attribution
    from lamplighter.explain.page import Shown

    pictures = {}
    for reason in explanation.reasons:
        if reason.attribution is not None:
            file = io.BytesIO()
            plot_attribution(reason.attribution).savefig(file, format="png")
            pictures[reason.method.name] = file.getvalue()
    return Shown(explanation, pictures)


def _compared(
    classifier: Classifier, explained: list[Shown], methods: list[str]
) -> tuple[list[Shown], dict[str, Any] | None, str]:
    """Return the same with scores, and which method to believe, as plain JSON types and text."""
    from lamplighter.explain.attribution.method_comparison import compare_methods
    from lamplighter.explain.explanation import scored

    working = [name for name in methods if all(name in one.pictures for one in explained)]
    if not working:
        return explained, None, ""
    explanations = [one.explanation for one in explained]
    say("comparing the methods")
    comparison = compare_methods(
        classifier,
        [explanation.path for explanation in explanations],
        working,
        target=[explanation.target for explanation in explanations],
    )
    pairs = zip(explained, scored(explanations, comparison), strict=True)
    explained = [replace(one, explanation=explanation) for one, explanation in pairs]
    return explained, comparison.to_dict(), str(comparison)


def _files(explained: list[Shown]) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Return the content of each picture by its name, and a row of the table for each image."""
    files: dict[str, bytes] = {}
    rows = []
    for number, one in enumerate(explained, start=1):
        row = one.explanation.to_dict()
        stem = Path(one.explanation.path).stem
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in stem)[:_MOST]
        for values in row["maps"]:
            values["picture"] = None
            if values["method"] in one.pictures:
                values["picture"] = f"{number:03d}-{safe}-{values['method']}.png"
                files[values["picture"]] = one.pictures[values["method"]]
        rows.append(row)
    return files, rows


def _check_folder(out: Path, *, force: bool) -> None:
    from lamplighter.files.folders import check_new_folder

    if not (force and out.is_dir()):
        check_new_folder(out)


def _write(files: dict[str, bytes], out: Path, *, force: bool) -> None:
    """Write all files, or none; into a folder with content each by itself, the page last."""
    if force and out.is_dir():
        from lamplighter.files.writing import written_whole

        for name, content in files.items():
            with written_whole(out / name) as file:
                file.write(content)
        return
    from lamplighter.files.folders import new_folder

    with new_folder(out) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)


def _text(explanations: list[Explanation], comparison: str, out: Path) -> str:
    width = max(len(printable(one.path)) for one in explanations)
    lines = []
    for one in explanations:
        name, probability = one.top[0]
        said = f"{name}  {probability:.1%}"
        if one.known is False:
            said = f"{one.label}  (nearest to {name} {probability:.1%})"
        about = "" if one.target == name else f", explained for {one.target}"
        lines.append(printable(f"{one.path:<{width}}  {said}{about}"))
    if comparison:
        lines += ["", *map(printable, comparison.split("\n")), ""]
    lines.append(wrapped(printable(f"wrote {out / _PAGE}, {_TABLE} and the pictures")))
    return "\n".join(lines)


def _end(explained: list[Shown], failures: list[dict[str, str]]) -> None:
    """Name on stderr what failed, each reason once; the exit code is then 1."""
    reasons = [failure["error"] for failure in failures]
    for one in explained:
        failed = [reason for reason in one.explanation.reasons if reason.error]
        reasons += [f"{reason.method.name}: {reason.error}" for reason in failed]
    for line in dict.fromkeys(reasons):
        say(f"lamplighter: {line}")
    if reasons:
        raise typer.Exit(1)
