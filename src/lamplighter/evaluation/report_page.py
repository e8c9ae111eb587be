"""`report_page`: what a classifier is and what it is worth, as one HTML page."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lamplighter.errors import DatasetError
from lamplighter.evaluation.calibration import reliability
from lamplighter.evaluation.html_page import escaped, html_page
from lamplighter.evaluation.intervals import estimate_from, wilson
from lamplighter.evaluation.mistakes import mistake_at, mistakes, surest_mistakes
from lamplighter.files.naming import clean_name
from lamplighter.models.classifier import check_classifier
from lamplighter.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData
    from lamplighter.evaluation.calibration import Reliability
    from lamplighter.evaluation.intervals import Estimate
    from lamplighter.evaluation.mistakes import Mistake
    from lamplighter.evaluation.report import Report
    from lamplighter.models.classifier import Classifier

_MOST_CELLS = 40  # classes up to which the confusion matrix is drawn
_MOST_ROWS = 500  # classes that the table of a split names
_SIDE = 160  # pixels of a picture's longer side
_PLOT = 300  # width and height of the reliability diagram
_BINS = 10
_STYLE = """\
section { border-top: 1px solid var(--line); padding: 1.2rem 0; }
h3 { margin: 1.4rem 0 .4rem; }
.worth { font-size: 1.25rem; } .worth strong { font-size: 1.9rem; color: var(--blue); }
dl.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .2rem 1rem; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; }
@media (max-width: 40rem) { dl.facts { grid-template-columns: minmax(0, 1fr); } }
.confusion td, .confusion th { padding: .2rem .4rem; border: 1px solid var(--line); }
.confusion td { text-align: right; color: #1a1a1a; background: #fff; }
.confusion td.zero { color: #767676; }
.confusion th.predicted { writing-mode: vertical-rl; vertical-align: bottom; font-weight: 400; }
.confusion th[scope="row"] { font-weight: 400; }
.mistakes { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.mistakes figure { background: var(--card); border: 1px solid var(--line); padding: .5rem;
  border-radius: .5rem; }
.mistakes img { margin: 0 auto .4rem; height: 10rem; object-fit: contain; }
.mistakes img.pixels { image-rendering: pixelated; }
.beside { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.plot { background: #fff; color: #1a1a1a; border-radius: .5rem; max-width: 100%; height: auto; }
.note { border-left: 4px solid var(--orange); padding-left: .8rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem .8rem; }
"""


def report_page(
    classifier: Classifier,
    reports: Sequence[Report],
    data: ImageData | None = None,
    *,
    pictures: Callable[[Report, int], NDArray[np.uint8] | None] | None = None,
    counts: Mapping[str, int] | None = None,
    title: str = "",
    bundle: str = "classifier.lamp",
    most_mistakes: int = 24,
) -> str:
    """Return what a classifier is and what it is worth, as HTML that needs nothing beside it.

    It says what was learned from, what was measured on which images, each score with its 95 %
    interval, the confusion matrix, the scores of each class, how far probabilities can be
    believed, the worst mistakes with their pictures, and how to use the bundle.

    Args:
        classifier: what was measured.
        reports: what `evaluate` returned for each split, the most telling one first.
        data: the images of the reports, for the pictures of mistakes.
        pictures: gives the pixels (C, H, W) of an image of a report by its row, None of one that
            cannot be shown; in place of `data` where the images are not in memory. Without either
            there are no pictures.
        counts: how many images each split has, those that were learned from as well.
        title: of the page; by default the name of the first report's data.
        bundle: what the file of the classifier is called, for the commands that use it.
        most_mistakes: how many mistakes of each split are shown, 0 or more.

    Raises:
        DatasetError: there is no report, or the data is not that of a report.
        ArgumentError: `most_mistakes` is negative.
    """
    check_classifier(classifier, "report_page")
    if not reports:
        raise DatasetError("report_page needs the report of one split or more, received none.")
    title = title or reports[0].data
    parts = [
        f"<header>\n<h1>{escaped(title)}: what the classifier is worth</h1>",
        _worth(reports[0]),
        "</header>\n<main>",
        _facts(classifier, counts or {}),
    ]
    for report in reports:
        if data is not None:
            wrong = mistakes(report, data, most_mistakes)
        else:
            wrong = _pictured(report, pictures, most_mistakes)
        parts.append(_section(report, wrong))
    parts += [
        _use(bundle, classifier),
        "</main>",
        '<footer class="soft"><p>Made by Lamplighter. All intervals are 95 % intervals: that of a '
        "share is Wilson's, the others are bootstrap intervals.</p></footer>",
    ]
    return html_page(f"{title}: what the classifier is worth", "\n".join(parts), style=_STYLE)


def _pictured(
    report: Report, pictures: Callable[[Report, int], NDArray[np.uint8] | None] | None, most: int
) -> list[Mistake]:
    """Return the worst mistakes that can be shown."""
    rows = surest_mistakes(report, most).tolist()
    found = [] if pictures is None else [(row, pictures(report, row)) for row in rows]
    return [mistake_at(report, row, image) for row, image in found if image is not None]


def _worth(report: Report) -> str:
    accuracy = report.accuracy
    return (
        f'<p class="worth">Right for <strong>{_percent(accuracy.value)}</strong> of '
        f"{counted(report.count, 'image')} that it had not seen, those of "
        f"{escaped(report.split)}. On new images of the same kind it is right for "
        f"{_percent(accuracy.low)} to {_percent(accuracy.high)}.</p>"
    )


def _facts(classifier: Classifier, counts: Mapping[str, int]) -> str:
    """Return what the classifier is, and what it was made of."""
    architecture, record = classifier.architecture, classifier.record
    recipe = dict(record.recipe)
    again = recipe.pop("refitted", None)
    network = "a network of its own"
    if architecture is not None:
        details = _listed(architecture.arguments)
        network = f"{architecture.name}{f' ({details})' if details else ''}"
    rows = [
        ("Classes", f"{classifier.num_classes}: {', '.join(classifier.class_names)}"),
        ("Network", network),
        ("Sees", classifier.preprocessing.describe()),
    ]
    if recipe:
        rows.append(("Trained", _listed(recipe)))
    learned = " + ".join(classifier.record.learned_splits)
    images = again.get("images") if isinstance(again, dict) else None
    rows.append(("Learned from", f"{learned}{f', {images} images' if images else ''}"))
    if counts:
        parts = (f"{name} {count:,}" for name, count in counts.items())
        rows.append(("Images", ", ".join(parts)))
    rows += _recorded(record.scores)
    trust = classifier.trust
    if trust is not None:
        rows.append(("Probabilities", f"divided by a temperature of {trust.temperature:.3g}"))
    if trust is not None and trust.threshold is not None:
        rows.append(
            ('"Unknown"', f"farther than {trust.threshold:.3g} from the images learned from")
        )
    entries = "\n".join(f"<dt>{escaped(k)}</dt><dd>{escaped(v)}</dd>" for k, v in rows)
    return f'<section>\n<h2>What it is</h2>\n<dl class="facts">\n{entries}\n</dl>\n</section>'


def _recorded(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the scores that the bundle keeps; what is not of their form is its owner's own."""
    rows = []
    for split, score in scores.items():
        try:
            accuracy, count = estimate_from(score["accuracy"]), int(score["count"])
            said = f"accuracy {accuracy:.1f} on {counted(count, 'image')}"
            if score.get("before_refit") is True:
                said += ", before it learned from train and validation together"
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            continue
        rows.append((f"Measured on {split}", said))
    return rows


def _section(report: Report, wrong: Sequence[Mistake]) -> str:
    """Return all that was measured on one split."""
    parts = [
        f"<section>\n<h2>Measured on {escaped(report.split)}</h2>",
        f"<p>{escaped(report.data)}: {counted(report.count, 'image')} of "
        f"{counted(int((report.scores.support > 0).sum()), 'class', 'classes')}.</p>",
        _scores(report),
        *(f'<p class="note">{escaped(note)}</p>' for note in _notes(report)),
        "<h3>What is taken for what</h3>",
        _confusion(report),
        "<h3>Each class</h3>",
        _classes(report),
        "<h3>How far its probabilities can be believed</h3>",
        _reliability(report),
        _mistakes(report, wrong),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _scores(report: Report) -> str:
    rows: list[tuple[str, Estimate]] = [
        ("accuracy", report.accuracy),
        ("macro-F1, the mean of all classes", report.macro_f1),
    ]
    if report.top5 is not None:
        rows.append(("the class is among the first five", report.top5))
    if report.predictions.threshold is not None:
        answered = report.answered
        rows.append(('known, not called "unknown"', answered.share))
        if answered.accuracy is not None:
            rows.append(("accuracy on these", answered.accuracy))
    cells = (
        [name, _percent(score.value), f"{_percent(score.low)} to {_percent(score.high)}"]
        for name, score in rows
    )
    return _table(["score", "", "95 % interval"], cells)


def _notes(report: Report) -> list[str]:
    notes = []
    if report.unknown_classes:
        notes.append(
            f"The classifier does not know {listed(report.unknown_classes)}: each answer for an "
            "image of these counts as wrong."
        )
    if report.missing_classes:
        notes.append(
            f"There is no image of {listed(report.missing_classes)}: nothing is known of these."
        )
    return notes


def _confusion(report: Report) -> str:
    """Return the confusion matrix as a table, or the commonest confusions where it is too large."""
    names, matrix = report.class_names, report.confusion
    if len(names) > _MOST_CELLS:
        confused = [[true, said, f"{count:,}"] for true, said, count in report.confusions(25)]
        if not confused:
            return "<p>Nothing.</p>"
        return _table(["class", "taken for", "images"], confused)
    head = "".join(f'<th scope="col" class="predicted">{escaped(name)}</th>' for name in names)
    totals = np.maximum(matrix.sum(axis=1), 1)
    rows = []
    for place, name in enumerate(names):
        cells = "".join(
            _cell(int(count), count / totals[place], right=place == column)
            for column, count in enumerate(matrix[place])
        )
        rows.append(f'<tr><th scope="row">{escaped(name)}</th>{cells}</tr>')
    return (
        '<p class="soft">Rows: what the images are. Columns: what they are taken for. The stronger '
        "the color, the larger the share of the row.</p>\n"
        f'<div class="wide"><table class="confusion">\n<tr><td></td>{head}</tr>\n'
        + "\n".join(rows)
        + "\n</table></div>"
    )


def _cell(count: int, share: float, *, right: bool) -> str:
    if not count:
        return '<td class="zero">·</td>'
    # Pale enough that dark figures have a contrast of 4.5 on each.
    red, green, blue = (0, 114, 178) if right else (230, 120, 40)
    color = f"rgb({red} {green} {blue} / {0.12 + 0.43 * share:.2f})"
    return f'<td style="background: linear-gradient({color}, {color}), #fff">{count:,}</td>'


def _classes(report: Report) -> str:
    scores, hits = report.scores, np.diagonal(report.confusion)
    rows = []
    for place in np.argsort(scores.f1, kind="stable")[:_MOST_ROWS]:  # NaN last
        support = int(scores.support[place])
        interval = "-"
        if support:
            recall = wilson(int(hits[place]), support)
            interval = f"{_percent(recall.low)} to {_percent(recall.high)}"
        rows.append(
            [
                report.class_names[place],
                f"{support:,}",
                f"{int(hits[place]):,}",
                _percent(scores.recall[place]),
                interval,
                _percent(scores.precision[place]),
                _percent(scores.f1[place]),
            ]
        )
    return (
        '<p class="soft">The weakest first. Recall: how many of its images are found. Precision: '
        "how many of the images that are given to it are its own.</p>\n"
        + _table(["class", "images", "right", "recall", "95 % interval", "precision", "F1"], rows)
    )


def _reliability(report: Report) -> str:
    known = report.labels < len(report.predictions.class_names)
    if not known.any():
        return "<p>No image is of a class that the classifier knows.</p>"
    found = reliability(report.predictions.probabilities, report.labels, _BINS)
    edges = np.linspace(0, 100, _BINS + 1)
    rows = [
        [
            f"{edges[place]:.0f} to {edges[place + 1]:.0f} %",
            f"{found.count[place]:,}",
            _percent(found.confidence[place]),
            _percent(found.accuracy[place]),
            f"{_percent(found.low[place])} to {_percent(found.high[place])}",
        ]
        for place in np.flatnonzero(found.count)
    ]
    table = _table(["its probability", "images", "mean", "right", "95 % interval"], rows)
    return (
        "<p>Of images that it gives a probability of 80 %, 80 of 100 should be right. The mean gap "
        f"is {_percent(found.error.value)} (95 % interval {_percent(found.error.low)} to "
        f'{_percent(found.error.high)}).</p>\n<div class="beside">\n{_plot(found)}\n{table}\n</div>'
    )


def _plot(found: Reliability) -> str:
    """Return a reliability diagram: on the line, probabilities are what they say."""
    left, side = 58, _PLOT - 74

    def at(x: float, y: float) -> tuple[float, float]:
        return round(left + x * side, 1), round(12 + (1 - y) * side, 1)

    parts = []
    for tick in (0, 0.5, 1):
        (x, bottom), (_, y) = at(tick, 0), at(0, tick)
        parts.append(
            f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{tick * 100:.0f} %</text>'
            f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{tick * 100:.0f} %</text>'
        )
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts.append(
        f'<rect x="{x0}" y="{y1}" width="{side}" height="{side}" fill="none" stroke="#767676"/>'
        f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="#767676" stroke-dasharray="4 4"/>'
    )
    for place in np.flatnonzero(found.count):
        x, y = at(float(found.confidence[place]), float(found.accuracy[place]))
        _, low = at(0, float(found.low[place]))
        _, high = at(0, float(found.high[place]))
        parts.append(
            f'<line x1="{x}" y1="{low}" x2="{x}" y2="{high}" stroke="#0072b2" stroke-width="2"/>'
            f'<circle cx="{x}" cy="{y}" r="4.5" fill="#0072b2"/>'
        )
    return (
        f'<svg class="plot" width="{_PLOT}" height="{_PLOT}" viewBox="0 0 {_PLOT} {_PLOT}" '
        'role="img" aria-label="Reliability diagram; the table beside it has its values" '
        'font-family="system-ui, sans-serif" font-size="11" fill="#1a1a1a">\n'
        + "\n".join(parts)
        + f'\n<text x="{left + side / 2}" y="{_PLOT - 6}" text-anchor="middle">its probability'
        f'</text>\n<text x="12" y="{12 + side / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {12 + side / 2})">right</text>\n</svg>'
    )


def _mistakes(report: Report, wrong: Sequence[Mistake]) -> str:
    if not wrong:
        return ""
    all_wrong = int((~report.right).sum())
    shown = "all of them" if len(wrong) == all_wrong else f"the {len(wrong)} that it is surest of"
    figures = "\n".join(
        f'<figure>\n<img src="{_picture(one)}" alt="{escaped(one.true)}"{_pixelated(one)}>\n'
        f"<figcaption><b>{escaped(one.true)}</b> taken for {escaped(one.predicted)} "
        f"({_percent(one.probability)})</figcaption>\n</figure>"
        for one in wrong
    )
    return (
        f"<h3>Mistakes</h3>\n<p>{counted(all_wrong, 'image')} of {report.count:,}; {shown}, as the "
        f'network sees them:</p>\n<div class="mistakes">\n{figures}\n</div>'
    )


def _picture(one: Mistake) -> str:
    pixels = one.image[0] if len(one.image) == 1 else one.image.transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    if max(image.size) < _SIDE // 2:  # JPEG would blur drawings of few pixels
        image.save(file, format="PNG")
        kind = "png"
    else:
        image.save(file, format="JPEG", quality=88)
        kind = "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _pixelated(one: Mistake) -> str:
    return ' class="pixels"' if max(one.image.shape[1:]) < _SIDE // 2 else ""


def _use(bundle: str, classifier: Classifier) -> str:
    photo = "digit.jpg" if classifier.preprocessing.find_digit else "photo.jpg"
    terminal = f"lamplighter predict {bundle} {photo}"
    python = (
        "from lamplighter import load, predict\n\n"
        f"classifier = load({clean_name(bundle)!r})\n"
        f"for answer in predict(classifier, [{photo!r}]):\n"
        "    print(answer.label, answer.guesses[:3])"
    )
    return (
        "<section>\n<h2>How to use it</h2>\n<p>In a terminal:</p>\n"
        f"<pre>{escape(clean_name(terminal))}</pre>\n<p>In Python:</p>\n<pre>{escape(python)}"
        "</pre>\n</section>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text and names the row, the others are numbers."""
    cells = [f'<th scope="col"{_number(place)}>{escaped(name)}</th>' for place, name in
             enumerate(head)]  # fmt: skip
    lines = [
        "<tr>"
        + "".join(
            f'<th scope="row">{escaped(cell)}</th>' if place == 0
            else f"<td{_number(place)}>{escaped(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    ]  # fmt: skip
    return (
        f'<div class="wide"><table>\n<tr>{"".join(cells)}</tr>\n'
        + "\n".join(lines)
        + "\n</table></div>"
    )


def _number(place: int) -> str:
    return "" if place == 0 else ' class="number"'


def _listed(values: Mapping[str, Any]) -> str:
    """Return settings as text; of nested ones and long lists how many there are."""
    return ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in values.items()
        if value is not None and not isinstance(value, dict | list)
    )


def _percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f} %"
