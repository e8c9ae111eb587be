"""The page of the course: labs/README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamplighter.teaching.notebooks import colab_link

if TYPE_CHECKING:
    from lamplighter.teaching.catalogue import Catalogue, Lab

_INTRODUCTION = """\
# The labs

Five notebooks, from a first convolutional network on handwritten digits to a classifier for
photos. Work through them in order. Each opens with what you will learn and what it needs; none
needs the internet once Lamplighter is installed.

```
pip install "{install}"
lamplighter labs my-labs
```

writes the notebooks to the folder `my-labs` and says how to start. `lamplighter labs check
NOTEBOOK` grades one, and says what was expected and what was seen.

"""
_CLOSING = """
This page and the notebooks are made by `make labs` from the sources in [src](src); change those.
"""


def course_page(catalogue: Catalogue) -> str:
    """Return the page: each lab, to open in Colab, to preview and to download."""
    rows = ["| lab | what it is about | time | | | |", "| --- | --- | --- | --- | --- | --- |"]
    rows += [_row(catalogue, lab) for lab in catalogue.present]
    introduction = _INTRODUCTION.format(install=catalogue.install.replace("]", ",labs]"))
    return introduction + "\n".join(rows) + "\n" + _CLOSING


def _row(catalogue: Catalogue, lab: Lab) -> str:
    raw = f"{catalogue.repository}/raw/{catalogue.branch}/labs/{lab.file}.ipynb"
    cells = [
        f"**{lab.id}** {lab.title}",
        lab.summary,
        f"{lab.minutes} min",
        f"[open in Colab]({colab_link(catalogue, lab)})",
        f"[preview](solutions/{lab.file}.ipynb)",
        f"[download]({raw})",
    ]
    return "| " + " | ".join(cells) + " |"
