"""Explanations as one page that needs nothing beside it: pictures inline, no network."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from lamplighter.evaluation.html_page import escaped, html_page
from lamplighter.explain.attribution.overlay import place_in_words
from lamplighter.files.naming import clean_name, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lamplighter.explain.attribution.attribution import Method
    from lamplighter.explain.explanation import Explanation, Reason

# What a map must not be read as, a sentence for each method.
CAUTIONS = {
    "saliency": "It measures changes too small to see: it does not say that the answer would be "
    "different without this pixel.",
    "smoothgrad": "It averages over noisy copies of the image: do not trust details finer than "
    "the noise.",
    "integrated-gradients": "It does not say what pixels do together, and with a different "
    "baseline the map is different.",
    "guided-backprop": "It hardly tells classes apart: much of it is the edges of the image, "
    "whatever the network has learned.",
    "grad-cam": "It is as coarse as the last feature maps, which are enlarged: it does not show "
    "exactly where things end.",
    "occlusion": "It misses parts that can replace each other, and an image with a covered patch "
    "is unlike the training images.",
}
_LONGEST = 320  # pixels of the longer side of an image that is shown by itself

_STYLE = """\
section { border-top: 1px solid var(--line); padding: 1.2rem 0; }
.answer { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.answer img { max-width: 100%; border: 1px solid var(--line); image-rendering: pixelated; }
.answer img.large { image-rendering: auto; }
.said { font-size: 1.1rem; } .said strong { color: var(--blue); }
.unknown strong, .failed { color: var(--orange); }
.maps { display: grid; gap: 1rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 28rem), 1fr)); }
figure { padding: .7rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; }
figure img { width: 100%; height: auto; background: #fff; border-radius: .25rem; }
figcaption { margin-top: .5rem; } details { margin-top: 1rem; }
dt { font-weight: 600; margin-top: .7rem; } dd { margin: 0; }
"""


@dataclass(frozen=True)
class Shown:
    """An explanation and the pictures of its maps.

    Attributes:
        explanation: what is said and why.
        pictures: PNG files by the names of methods; none for a method that failed.
    """

    explanation: Explanation
    pictures: dict[str, bytes]


def page(
    name: str,
    described: str,
    explained: Sequence[Shown],
    *,
    failures: Sequence[str] = (),
    comparison: str = "",
) -> str:
    """Return an HTML page that shows explanations; it needs and fetches nothing else.

    Args:
        name: what the classifier is called.
        described: the same in a sentence.
        explained: what is shown.
        failures: a sentence for each image that could not be used.
        comparison: which method to believe, as lines of text.
    """
    methods = {
        reason.method.name: reason.method for one in explained for reason in one.explanation.reasons
    }
    parts = [
        "<header>",
        f"<h1>Why these answers: <bdi>{escaped(name)}</bdi></h1>",
        f'<p class="soft">{escaped(described)}</p>',
        "<p>No method tells the whole truth. Believe what several of them agree on, and what "
        "deletion and insertion curves confirm.</p>",
        "</header>",
        "<main>",
        *(f'<p class="failed">Left out: {escaped(failure)}</p>' for failure in failures),
        *(_section(one) for one in explained),
        _comparison(comparison),
        _meanings(list(methods.values())),
        "</main>",
        '<footer class="soft"><p>Made by Lamplighter.</p></footer>',
    ]
    body = "\n".join(part for part in parts if part)
    return html_page(f"Why these answers: {name}", body, style=_STYLE)


def _section(one: Shown) -> str:
    """Return one image: the answer, its maps, and a table of their measures."""
    explanation = one.explanation
    figures = "\n".join(_figure(one, reason) for reason in explanation.reasons)
    return (
        f"<section>\n<h2><bdi>{escaped(explanation.path)}</bdi></h2>\n"
        f'<div class="answer">\n{_input(explanation)}<div>\n{_answer(explanation)}</div>\n</div>\n'
        f'<div class="maps">\n{figures}\n</div>\n{_table(explanation)}</section>'
    )


def _answer(explanation: Explanation) -> str:
    name, probability = explanation.top[0]
    if explanation.known is not False:
        said = f'<p class="said"><strong>{escaped(name)}</strong>, {_percent(probability)}</p>'
    else:
        said = (
            f'<p class="said unknown"><strong>{escaped(explanation.label)}</strong>: unlike the '
            f"training images; nearest to {escaped(name)}, {_percent(probability)}</p>"
        )
    others = "".join(f"<li>{escaped(name)}, {_percent(p)}</li>" for name, p in explanation.top[1:])
    listed = f'<p class="soft">then</p><ul class="soft">{others}</ul>' if others else ""
    asked = f"<p>The maps are about the class <b>{escaped(explanation.target)}</b>.</p>"
    return f"{said}\n{listed}\n{asked}\n"


def _input(explanation: Explanation) -> str:
    if explanation.picture is None:
        return ""
    height, width = explanation.picture.shape[:2]
    times = max(1, _LONGEST // max(height, width))
    kind = ' class="large"' if max(height, width) > 128 else ""
    source = _inline(_png(explanation.picture))
    said = f"what the network sees of {shown(explanation.path)}, {width} x {height} pixels"
    return (
        f'<img{kind} src="{source}" width="{width * times}" height="{height * times}" '
        f'alt="{escaped(said)}">\n'
    )


def _figure(one: Shown, reason: Reason) -> str:
    method, explanation = reason.method, one.explanation
    title = f"<h3>{escaped(method.title)}</h3>"
    if reason.attribution is None:
        return f'<figure>{title}<p class="failed">{escaped(reason.error)}</p></figure>'
    said = (
        f"{method.title} for {explanation.target} over {explanation.path}. {method.meaning} "
        f"It is largest {place_in_words(reason.attribution.maps[0])}."
    )
    notes = "".join(f'<p class="soft">{escaped(note)}</p>' for note in reason.attribution.notes)
    return (
        f'<figure>\n<img src="{_inline(one.pictures[method.name])}" alt="{escaped(said)}">\n'
        f"<figcaption>{title}<p>{escaped(method.meaning)}</p>{notes}</figcaption>\n</figure>"
    )


def _table(explanation: Explanation) -> str:
    """Return seconds and scores of each map; columns without any are left out."""
    columns = {
        "completeness gap": [_percent(one.gap) for one in explanation.reasons],
        "steps": ["" if one.steps is None else str(one.steps) for one in explanation.reasons],
        "deletion, less is better": [_number(one.deletion) for one in explanation.reasons],
        "insertion, more is better": [_number(one.insertion) for one in explanation.reasons],
        "seconds": [f"{one.seconds:.2f}" for one in explanation.reasons],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    head = "".join(f'<th scope="col" class="number">{name}</th>' for name in columns)
    rows = [
        f'<tr><th scope="row">{escaped(reason.method.title)}</th>'
        + "".join(f'<td class="number">{cells[number]}</td>' for cells in columns.values())
        + "</tr>"
        for number, reason in enumerate(explanation.reasons)
    ]
    return (
        '<details>\n<summary>Measures</summary>\n<div class="wide"><table>\n'
        f'<tr><th scope="col">method</th>{head}</tr>\n' + "\n".join(rows) + "\n</table></div>\n"
        "</details>\n"
    )


def _comparison(comparison: str) -> str:
    if not comparison:
        return ""
    return (
        "<section>\n<h2>Which method to believe here</h2>\n"
        f"<pre>{escape(clean_name(comparison))}</pre>\n</section>"
    )


def _meanings(methods: Sequence[Method]) -> str:
    entries = "\n".join(
        f"<dt>{escaped(method.title)}</dt>\n<dd>{escaped(method.meaning)} "
        f"{escaped(CAUTIONS.get(method.name, ''))} "
        f'<span class="soft">{escaped(method.paper)}</span></dd>'
        for method in methods
    )
    return f"<section>\n<h2>What a map means, and what not</h2>\n<dl>\n{entries}\n</dl>\n</section>"


def _png(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="png")
    return file.getvalue()


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
