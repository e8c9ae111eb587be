"""The model card of a bundle: Markdown, with the metadata that Hugging Face reads.

M. Mitchell et al., 2019, Model Cards for Model Reporting, arXiv:1810.03993. A card says what the
bundle knows, and names what it does not know; it makes nothing up.
"""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamplighter.errors import ArgumentError
from lamplighter.evaluation.intervals import Estimate, estimate_from
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.saving.bundle import describe
from lamplighter.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_METRICS = {"accuracy": ("accuracy", "Accuracy"), "macro_f1": ("f1", "Macro-F1")}
_TOP5 = "top5"
_MOST_CLASSES = 200  # that are named one by one
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.\-]*")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~$!])")
_MNIST = "ylecun/mnist"  # what the Hub calls it
# What a score that this program did not measure raises when it is read.
_OTHERWISE = (KeyError, TypeError, ValueError, OverflowError, AttributeError)


def model_card(path: str | Path, *, license: str | None = None) -> str:  # noqa: A002
    """Return the model card of the bundle at `path`, as Markdown for a file README.md.

    Its metadata has what Hugging Face reads: license, library_name, pipeline_tag, tags, datasets,
    metrics and, for each score that was measured, an entry of model-index with its interval. The
    text has classes, preprocessing, recipe, fingerprints of the data, scores, calibration,
    "unknown", and a list of what the bundle does not know.

    Args:
        path: the bundle.
        license: under which the classifier is shared, as the Hub calls it: "apache-2.0", "mit",
            "cc-by-4.0", "other". By default what the bundle says, which is mostly nothing.

    Raises:
        BundleError: the bundle cannot be used.
        NewerFormatError: it was written by a later version of Lamplighter.
        ArgumentError: the license has letters that no name on the Hub has.
    """
    if license is not None and not _LICENSE.fullmatch(license.lower()):
        raise ArgumentError(
            'license must be a name that the Hugging Face Hub has, such as "apache-2.0" or "mit", '
            f"received {license!r}."
        )
    description = describe(path)
    known = license or description["record"]["recipe"].get("license")
    card = _Card(Path(path).name, description, known.lower() if isinstance(known, str) else None)
    return f"---\n{card.metadata()}---\n\n{card.text()}"


class _Card:
    """The parts of a card.

    Args:
        file: the name of the bundle.
        description: of the bundle.
        license: None where it is not known.
    """

    def __init__(self, file: str, description: Mapping[str, Any], license: str | None) -> None:  # noqa: A002
        self.file = printable(file)
        self.license = license
        self.classes = [str(name) for name in description["class_names"]]
        self.preprocessing = Preprocessing.from_dict(description["preprocessing"])
        self.record: Mapping[str, Any] = description["record"]
        self.trust: Mapping[str, Any] | None = description["trust"]
        self.architecture: Mapping[str, Any] = description["architecture"]
        self.parity: Mapping[str, Any] = description["parity"]
        self.written = f"{description['written_by']}, {description['created']}"
        self.scores = {
            split: score for split, score in self.record["scores"].items() if _is_ours(score)
        }

    @property
    def name(self) -> str:
        """What the classifier is called: its file, without the ending."""
        return self.file.removesuffix(".lamp")

    # The metadata.

    def metadata(self) -> str:
        """Return YAML; each string is in double quotes, as in JSON."""
        tags = ["image-classification", "vision", "lamplighter"]
        tags += [] if self.parity.get("failure") else ["onnx"]
        lines = [] if self.license is None else [f"license: {_quoted(self.license)}"]
        lines += ["library_name: lamplighter", "pipeline_tag: image-classification"]
        lines += ["tags:", *(f"- {tag}" for tag in tags)]
        datasets = {_hub_name(score) for score in self.scores.values()} - {None}
        if datasets:
            lines += ["datasets:", *(f"- {name}" for name in sorted(map(str, datasets)))]
        if self.scores:
            lines += ["metrics:", *(f"- {kind}" for kind, _ in _METRICS.values())]
            lines += ["model-index:", f"- name: {_quoted(self.name)}", "  results:"]
            for split, score in self.scores.items():
                lines += self._result(split, score)
        return "".join(f"{line}\n" for line in lines)

    def _result(self, split: str, score: Mapping[str, Any]) -> Iterator[str]:
        yield from ("  - task:", "      type: image-classification")
        yield from ("      name: Image Classification", "    dataset:")
        yield f"      type: {_quoted(_hub_name(score) or 'imagefolder')}"
        yield f"      name: {_quoted(str(score['data']))}"
        yield f"      split: {_quoted(split)}"
        yield "    metrics:"
        for key, (kind, name) in _METRICS.items():
            estimate = _estimate(score, key)
            if estimate is not None:
                ends = f"{estimate.low:.4f} to {estimate.high:.4f}"
                title = f"{name} ({100 * estimate.confidence:g} % interval {ends})"
                yield from (f"    - type: {kind}", f"      value: {estimate.value:.4f}")
                yield f"      name: {_quoted(title)}"

    # The text.

    def text(self) -> str:
        """Return the Markdown below the metadata."""
        sections = [
            self._introduction(),
            self._use(),
            self._class_list(),
            f"## Input\n\n{_plain(self.preprocessing.describe())}.",
            self._training(),
            self._evaluation(),
            self._reliability(),
            self._unknowns(),
            self._origin(),
        ]
        return "\n\n".join(sections) + "\n"

    def _introduction(self) -> str:
        also = ""
        if self.trust is not None and self.trust["threshold"] is not None:
            also = ', and says "unknown" of an image that is unlike those it learned from'
        return (
            f"# {_plain(self.name)}\n\nAn image classifier of {len(self.classes)} classes, made "
            f"with Lamplighter. It gives a probability for each class{also}.\n\n"
            "<!-- Written by `lamplighter card` from what the bundle knows. Please add what only "
            'you know: see "What this card does not know". -->'
        )

    def _use(self) -> str:
        quoted = shlex.quote(self.file)
        return (
            "## How to use it\n\n"
            f"```console\n$ lamplighter predict {quoted} PHOTO.jpg\n```\n\n"
            "```python\nimport lamplighter\n\n"
            f"classifier = lamplighter.load({json.dumps(self.file, ensure_ascii=False)})\n"
            'print(lamplighter.predict(classifier, ["PHOTO.jpg"]).labels)\n```'
        )

    def _class_list(self) -> str:
        named = self.classes[:_MOST_CLASSES]
        lines = [f"- {_plain(name)}" for name in named]
        if len(named) < len(self.classes):
            more = len(self.classes) - len(named)
            lines.append(f"- and {more:,} more, in `description.json` of the bundle")
        return "\n".join(["## Classes", "", *lines])

    def _training(self) -> str:
        lines = ["## Training", "", f"- network: {_plain(self._network())}"]
        recipe = dict(self.record["recipe"])
        again = recipe.pop("refitted", None)
        lines += [f"- {_plain(str(key))}: {_value(value)}" for key, value in recipe.items()]
        if isinstance(again, dict) and {"splits", "images"} <= set(again):
            splits = " + ".join(map(str, again["splits"]))
            lines.append(f"- learned at the end from: {_plain(splits)} ({again['images']} images)")
        if not recipe:
            lines.append("- how it was trained is not known")
        data = self.record["data"]
        if data:
            lines += ["", "| split | SHA-256 of its images and labels |", "| --- | --- |"]
            lines += [f"| {_plain(split)} | `{sum_}` |" for split, sum_ in data.items()]
        return "\n".join(lines)

    def _network(self) -> str:
        name = self.architecture.get("name")
        if name is None:
            return str(self.architecture.get("class"))
        arguments = self.architecture.get("arguments") or {}
        said = ", ".join(f"{key} {value}" for key, value in arguments.items())
        return f"{name} ({said})" if said else str(name)

    def _evaluation(self) -> str:
        if not self.scores:
            return "## Evaluation\n\nThe bundle holds no score that Lamplighter measured."
        lines = [
            "## Evaluation",
            "",
            "| split | images | accuracy | macro-F1 | among the first five |",
            "| --- | --- | --- | --- | --- |",
        ]
        for split, score in self.scores.items():
            values = [_estimate(score, key) for key in (*_METRICS, _TOP5)]
            cells = ["-" if value is None else str(value) for value in values]
            source = f"{score['count']:,} of {_plain(str(score['data']))}"
            lines.append(f"| {_plain(split)} | {source} | {' | '.join(cells)} |")
        notes = [note for split, score in self.scores.items() for note in _notes(split, score)]
        return "\n".join([*lines, *([""] if notes else []), *notes])

    def _reliability(self) -> str:
        title = "## Calibration and unknown images\n\n"
        if self.trust is None:
            return (
                f"{title}Neither was measured: do not take the probabilities for frequencies, and "
                "expect one of the classes for any image, also for one that shows none of them."
            )
        lines = [f"- probabilities are divided by a temperature of {self.trust['temperature']:.3g}"]
        measured = self.trust["measured"]
        try:
            calibration = measured["calibration"]
            before, after = (
                estimate_from(calibration[when]["error"]) for when in ("before", "after")
            )
            lines[0] += f"; expected calibration error {before:.1f} before, {after:.1f} after"
        except _OTHERWISE:
            pass
        if self.trust["threshold"] is None:
            lines.append("- no image is called unknown: expect one of the classes for any image")
        else:
            lines.append(
                "- an image is called unknown if the cosine distance of its features to "
                f"training images is more than {self.trust['threshold']:.3g}"
            )
            try:
                share = estimate_from(measured["unknown"]["coverage"])
                lines[-1] += f"; {share:.1f} of held-out images of known classes are nearer"
            except _OTHERWISE:
                pass
        if isinstance(measured.get("source"), str):
            lines.append(f"- both were measured by {_plain(measured['source'])}")
        return title + "\n".join(lines)

    def _unknowns(self) -> str:
        lines = []
        if self.license is None:
            lines.append("- its license (`lamplighter card --license NAME` adds one)")
        lines += [
            "- what it is meant for, what it must not be used for, and who made it",
            "- where the images come from, who may use them, and who or what is shown in them",
            "- how well it does on images from elsewhere: scores hold for images like those that "
            "they were measured on",
            "- how well it does for each class or for groups of people or things",
        ]
        if "test" not in self.scores:
            lines.append("- how well it does on a test split: none was measured")
        return "\n".join(["## What this card does not know", "", *lines])

    def _origin(self) -> str:
        said = "The bundle has no ONNX graph; torch answers in its place."
        if not self.parity.get("failure"):
            said = "The ONNX graph in the bundle was compared with the weights"
            images, largest = self.parity.get("images"), self.parity.get("max_difference")
            if images and isinstance(largest, float):
                said += f" on {_plain(str(images))}: the scores differ by {largest:.0e} at most"
            said += "."
        return f"## Origin\n\n{said} Written by {_plain(self.written)}."


def _is_ours(score: Any) -> bool:
    """Return whether a score was measured by this program, and is no note of the owner's."""
    try:
        estimate_from(score["accuracy"])
        return isinstance(score["data"], str) and isinstance(score["count"], int)
    except _OTHERWISE:
        return False


def _estimate(score: Mapping[str, Any], key: str) -> Estimate | None:
    try:
        return estimate_from(score[key])
    except _OTHERWISE:
        return None


def _notes(split: str, score: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is to be known of a score, as lines of a list."""
    named = _plain(split)
    if score.get("before_refit") is True:
        yield f"- {named}: before the classifier learned from these images too"
    elif split == "val":
        yield f"- {named}: choices may have been made by these images, which makes it optimistic"
    for key, what in (
        ("missing_classes", "no image of"),
        ("unknown_classes", "images of classes that it does not know"),
    ):
        names = score.get(key)
        if isinstance(names, list) and names:
            yield f"- {named}: {what}: {', '.join(_plain(str(name)) for name in names)}"
    answered = score.get("answered")
    if isinstance(answered, dict):
        share, accuracy = _estimate(answered, "share"), _estimate(answered, "accuracy")
        if share is not None and accuracy is not None:
            yield f"- {named}: {share} are not called unknown, accuracy on them {accuracy}"


def _hub_name(score: Mapping[str, Any]) -> str | None:
    """Return what the Hub calls the data of a score; None where it does not have it."""
    if score["data"] != "mnist":
        return None
    from lamplighter.datasets.image_data import ImageData

    mnist = ImageData.mnist()
    split = score.get("split")
    same = split in mnist and mnist.fingerprint(str(split)) == score.get("fingerprint")
    return _MNIST if same else None


def _quoted(text: str) -> str:
    return json.dumps(printable(text), ensure_ascii=False)


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return html.escape(_MARKDOWN.sub(r"\\\1", printable(text)), quote=False)


def _value(value: Any) -> str:
    """Return a value of a recipe; of a long list how many there are."""
    if isinstance(value, dict):
        return ", ".join(f"{_plain(str(key))} {_value(one)}" for key, one in value.items())
    if isinstance(value, list) and len(value) > 6:
        return f"({counted(len(value), 'value')})"
    return _plain(str(value))
