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
needs the internet once Lamplighter is installed.{place}

```
{install}
lamplighter labs my-labs
```

writes the notebooks to the folder `my-labs` and says how to start. `lamplighter labs check
NOTEBOOK` grades one, and says what was expected and what was seen.

"""
_HEAD = ["lab", "what it is about", "time"]
_CLOSING = """
This page and the notebooks are made by `make labs` from the sources in [src](src); change those.
"""


def course_page(catalogue: Catalogue) -> str:
    """Return the page: each lab, to preview, to download and, from GitHub, to open in Colab."""
    rows = [_row(catalogue, lab) for lab in catalogue.present]
    columns = max((len(row) for row in rows), default=3)
    rows = [_HEAD + [""] * (columns - len(_HEAD)), ["---"] * columns, *rows]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    fetched = catalogue.install.replace("]", ",labs]")
    install = f'pip install "{fetched}"' if fetched else "pip install '.[train,labs]'"
    place = "" if fetched else " In the folder of Lamplighter,"
    introduction = _INTRODUCTION.format(place=place, install=install)
    return f"{introduction}{table}\n{_CLOSING}"


def _row(catalogue: Catalogue, lab: Lab) -> list[str]:
    colab, file = colab_link(catalogue, lab), f"{lab.file}.ipynb"
    raw = f"{catalogue.repository}/raw/{catalogue.branch}/labs/{file}" if colab else file
    return [
        f"**{lab.id}** {lab.title}",
        lab.summary,
        f"{lab.minutes} min",
        *([f"[open in Colab]({colab})"] if colab else []),
        f"[preview](solutions/{file})",
        f"[download]({raw})",
    ]
