"""An audit as text for a terminal, and as one page of HTML that needs nothing else."""

from __future__ import annotations

import base64
import io
from itertools import zip_longest
from typing import TYPE_CHECKING

from lamplighter.auditing.sheet import thumbnail
from lamplighter.evaluation.html_page import escaped, html_page
from lamplighter.text import align, listed, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamplighter.auditing.audit import Audit
    from lamplighter.auditing.findings import Finding

_THUMBNAIL = (180, 120)  # pixels at most, width and height
_MOST_THUMBNAILS = 24  # for each finding
_MOST_NAMED = 100

_STYLE = """\
h2 { margin-top: 2rem; }
section { border: 1px solid var(--line); border-left: 5px solid var(--kind); border-radius: .5rem;
  padding: .75rem 1rem; margin: .75rem 0; }
.error { --kind: var(--red); } .warning { --kind: var(--orange); } .note { --kind: var(--blue); }
.severity { color: var(--kind); }
.group { display: flex; flex-wrap: wrap; gap: .75rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem; padding: .7rem; margin: .5rem 0; }
figure { width: 180px; } figcaption, li, summary { font-size: .85rem; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
th:not(:first-child), td:not(:first-child) { text-align: right; }
td:last-child { min-width: 10rem; }
td span { display: block; height: .7rem; background: var(--blue); border-radius: 2px; }
"""


def audit_table(audit: Audit, *, most: int = 5) -> str:
    """Return the findings of an audit, the files that they name, and its classes as text.

    Args:
        audit: what `audit` returned.
        most: names to show for each finding; bad files are all named.
    """
    first, *lines = str(audit).split("\n")
    text = [first]
    for line, finding in zip_longest(lines, audit.findings):
        text.append(line)
        if finding is not None:
            text += _names(finding, None if finding.severity == "error" else most)
    table = f"\n\n{align(audit.balance())}" if audit.usable.class_names else ""
    return "\n".join(text) + table


def audit_page(audit: Audit) -> str:
    """Return an audit as one page of HTML: findings with pictures, classes and their sizes.

    Every name in it is escaped, pictures are inside the page, and nothing is fetched. At most 24
    pictures and 100 names are shown of each finding.
    """
    findings = "".join(_section(audit, finding) for finding in audit.findings)
    title = f"Audit of {audit.files.name}"
    body = (
        f"<h1>{escaped(title)}</h1>\n<p>{escaped(audit.headline())}</p>\n"
        f"<h2>Findings</h2>\n{findings or '<p>Nothing found.</p>'}\n{_classes(audit)}"
    )
    return html_page(title, body, style=_STYLE)


def _names(finding: Finding, most: int | None) -> list[str]:
    """Return lines that name the files of a finding, at most `most`, or all of them."""
    if finding.groups:
        names = [_joined(group) for group in finding.groups]
    else:
        names = [_with_reason(finding, path) for path in finding.files]
    lines = [f"    {name}" for name in names[:most]]
    hidden = len(names) - len(lines)
    return lines + ([f"    and {hidden:,} more, all named by --json"] if hidden else [])


def _joined(group: Sequence[str], most: int = 4) -> str:
    return listed([printable(name) for name in group], most, separator=" = ")


def _with_reason(finding: Finding, path: str) -> str:
    """Return a path with its score, or the reason why it was set aside, which may begin with it."""
    if path in finding.details.get("scores", {}):
        return printable(f"{path}: score {finding.details['scores'][path]:.2f}")
    reason = finding.details.get("reasons", {}).get(path, "")
    if path in reason:
        return printable(reason)
    return printable(f"{path}: {reason}" if reason else path)


def _section(audit: Audit, finding: Finding) -> str:
    pictures = ""
    if finding.severity != "error" and finding.kind != "unlabelled":
        pictures = _pictures(audit, finding)
    lines = [
        f"<li>{escaped(_with_reason(finding, path))}</li>" for path in finding.files[:_MOST_NAMED]
    ]
    hidden = len(finding.files) - len(lines)
    more = f"<p>and {hidden:,} more, in findings.json</p>" if hidden else ""
    names = f"<ul>{''.join(lines)}</ul>{more}"
    if lines and "reasons" not in finding.details:
        names = f"<details><summary>files</summary>{names}</details>"
    return (
        f'<section class="{finding.severity}"><h3><span class="severity">{finding.severity}</span> '
        f"{escaped(finding.kind)}</h3><p>{escaped(finding.sentence)}</p>{pictures}"
        f"{names if lines else ''}</section>\n"
    )


def _pictures(audit: Audit, finding: Finding) -> str:
    """Return the pictures of a finding, one box for each group."""
    left, boxes = _MOST_THUMBNAILS, []
    for group in finding.groups or ([finding.files] if finding.files else []):
        if left < min(2, len(group)):
            break
        shown = group[: min(left, 8 if finding.groups else left)]
        left -= len(shown)
        boxes.append(f'<div class="group">{_figures(audit, finding, shown)}</div>')
    return "".join(boxes)


def _figures(audit: Audit, finding: Finding, paths: Sequence[str]) -> str:
    figures = []
    for path in paths:
        image, file = thumbnail(audit, path, _THUMBNAIL), io.BytesIO()
        image.save(file, format="JPEG", quality=80)
        caption = escaped(_with_reason(finding, path))
        data = base64.b64encode(file.getvalue()).decode()
        figures.append(
            f'<figure><img alt="" width="{image.width}" height="{image.height}" '
            f'src="data:image/jpeg;base64,{data}"><figcaption>{caption}</figcaption>'
            "</figure>"
        )
    return "".join(figures)


def _classes(audit: Audit) -> str:
    """Return the images of each class in each split as a table with bars."""
    heading, *rows = audit.balance()
    if not rows:
        return ""
    totals = audit.counts.sum(axis=1)
    largest = max(1, int(totals.max()))
    body = []
    for number, row in enumerate(rows):
        width = 100 * int(totals[number]) / largest if number < len(totals) else 0
        bar = f'<span style="width:{width:.1f}%"></span>' if width else ""
        cells = "".join(f"<td>{escaped(cell)}</td>" for cell in row)
        body.append(f"<tr>{cells}<td>{bar}</td></tr>")
    cells = "".join(f"<th>{escaped(cell)}</th>" for cell in heading)
    return (
        f'<h2>Classes</h2><div class="wide"><table><tr>{cells}<th></th></tr>'
        f"{''.join(body)}</table></div>"
    )
