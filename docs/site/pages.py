"""Pages of the site that are written elsewhere in the project, and links that lead there.

The labs, the changelog, the results of the benchmarks and CONTRIBUTING.md stay where they belong;
the site shows them. A link from docs/ to such a file works on the site as it does in a checkout.
"""

from __future__ import annotations

import base64
import json
import os
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

# Files of the project, and the pages that show them.
SHOWN = {
    "README.md": "index.md",
    "CHANGELOG.md": "explanation/changelog.md",
    "CONTRIBUTING.md": "explanation/contributing.md",
    "benchmarks/RESULTS.md": "explanation/results.md",
    "labs/README.md": "tutorials/index.md",
}
_COPIED = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/RESULTS.md")
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_DISPLAYED, _INLINE = re.compile(r"\$\$(.+?)\$\$", re.DOTALL), re.compile(r"\$([^$\n`]+?)\$")
_PICTURES = {"image/png": "png", "image/jpeg": "jpg"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written elsewhere."""
    project = Path(config.config_file_path).parent
    for source in _COPIED:
        text = (project / source).read_text(encoding="utf-8")
        files.append(File.generated(config, SHOWN[source], content=text))
    labs = tomllib.loads((project / "labs/labs.toml").read_text(encoding="utf-8"))["lab"]
    for lab in labs:
        for path, content in _lab_pages(project / "labs", lab):
            files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links that lead to other files of the project lead to the pages that show them."""
    source = page.file.src_uri
    copied = {shown: origin for origin, shown in SHOWN.items() if origin in _COPIED}
    folder = PurePosixPath(copied.get(source, f"docs/{source}")).parent

    def led(match: re.Match[str]) -> str:
        before, target, anchor, after = match.groups()
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        place = os.path.normpath(folder / target)
        shown = SHOWN.get(place) or place.removeprefix("docs/")
        if place not in SHOWN and not place.startswith("docs/"):
            return match[0]  # not on the site: the strict build says so
        path = os.path.relpath(shown, PurePosixPath(source).parent)
        return f"{before}{path}{anchor or ''}{after}"

    return _LINK.sub(led, markdown)


def _lab_pages(folder: Path, lab: dict[str, Any]) -> Iterator[tuple[str, str | bytes]]:
    """Yield the path and content of a lab's page, its pictures and the notebook to download.

    The text and the exercises are the learner's; what the given cells print and draw was written
    down when the solved notebook was run.
    """
    name = lab["file"]
    notebook = (folder / f"{name}.ipynb").read_text(encoding="utf-8")
    yield f"tutorials/{name}.ipynb", notebook
    solved = json.loads((folder / "solutions" / f"{name}.ipynb").read_text(encoding="utf-8"))
    parts = []
    cells = zip(json.loads(notebook)["cells"], solved["cells"], strict=True)
    for number, (cell, run) in enumerate(cells):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(_with_formulas(text))
            continue
        parts.append(f"```python\n{text}\n```")
        if cell["metadata"].get("lamplighter", {}).get("given"):
            for shown, picture in _outputs(run, f"{name}-{number}"):
                parts.append(shown)
                if picture:
                    yield f"tutorials/{picture[0]}", picture[1]
    parts.insert(1, f"[Download this notebook]({name}.ipynb){{ .md-button download }}")
    yield f"tutorials/{name}.md", "\n\n".join(parts) + "\n"


def _outputs(cell: dict[str, Any], name: str) -> Iterator[tuple[str, tuple[str, bytes] | None]]:
    for place, output in enumerate(cell.get("outputs", [])):
        data = output.get("data", {})
        kind = next((kind for kind in _PICTURES if kind in data), None)
        if kind:
            file = f"{name}-{place}.{_PICTURES[kind]}"
            yield f"![what the cell draws]({file})", (file, base64.b64decode("".join(data[kind])))
        elif text := "".join(output.get("text", data.get("text/plain", ""))).strip("\n"):
            yield f"```text\n{text}\n```", None


def _with_formulas(text: str) -> str:
    """Return `text` with its formulas as MathML, which browsers draw without a script."""
    text = _DISPLAYED.sub(lambda match: convert(match[1], display="block"), text)
    return _INLINE.sub(lambda match: convert(match[1]), text)
