"""The findings of the audit, and their remedies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from lamplighter.studio.calls import Fields, call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lamplighter.auditing.audit import Audit
    from lamplighter.auditing.findings import Finding
    from lamplighter.auditing.remedies import Remedy
    from lamplighter.studio.jobs import Job
    from lamplighter.studio.project import Table
    from lamplighter.studio.studio import Studio


@dataclass(eq=False)
class _Kept:
    """The last audit of the folder, and the table that it was made of."""

    audit: Audit | None = None
    made_of: tuple[int, int] = (0, 0)  # scan and change


def start_audit(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Audit the files in use, as they are labeled now."""
    return studio.jobs.start("audit", lambda job: _audit(studio, job)).to_dict()


def last_audit(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return the findings of the last audit with rows of the table, and what may be done."""
    kept, table = _kept(studio), studio.project.table()
    if kept.audit is None:
        return {"made": False}
    used = table.usable()
    return {
        "made": True,
        "scan": table.scan,
        "made_of": list(kept.made_of),
        "headline": kept.audit.headline(),
        "findings": [_told(finding, table, used) for finding in kept.audit.findings],
    }


def _audit(studio: Studio, job: Job) -> dict[str, int]:
    from lamplighter.auditing.audit import audit

    kept, table = _kept(studio), studio.project.table()
    # Without those that a person set aside: that is no finding.
    used = [row for row, path in enumerate(table.files.paths) if path not in table.aside]
    with job.progress("auditing") as progress:
        found = audit(table.files.take(used), progress=progress)
    kept.audit, kept.made_of = found, (table.scan, table.change)
    return {"findings": len(found.findings)}


def _kept(studio: Studio) -> _Kept:
    return studio.kept("audit", _Kept)


def _told(finding: Finding, table: Table, used: Any) -> dict[str, Any]:
    from lamplighter.auditing.remedies import remedies

    details = finding.details
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "sentence": finding.sentence,
        "rows": _rows(finding.files, table),
        "groups": [_rows(group, table) for group in finding.groups],
        # Files that were found and are no rows, such as a text beside the images.
        "others": [[path, why] for path, why in details.get("reasons", {}).items()],
        "scores": {
            table.rows[path]: round(score, 3)
            for path, score in details.get("scores", {}).items()
            if path in table.rows
        },
        "classes": [name for name in details.get("classes", []) if isinstance(name, str)],
        "remedies": [_remedy(one, table) for one in remedies(finding, used)],
    }


def _remedy(remedy: Remedy, table: Table) -> dict[str, Any]:
    return {
        "action": remedy.action,
        "words": remedy.words,
        "rows": _rows(remedy.files, table),
        "reason": remedy.reason,
        "class": remedy.class_name,
        "names": list(remedy.names),
        "group": remedy.group,
    }


def _rows(paths: Iterable[str], table: Table) -> list[int]:
    return [table.rows[path] for path in paths if path in table.rows]


routes = [
    Route("/api/audit", call(start_audit), methods=["POST"]),
    Route("/api/audit", call(last_audit)),
]
