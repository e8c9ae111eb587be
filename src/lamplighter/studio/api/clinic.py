"""Labels that are probably wrong, and what to label next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from lamplighter.errors import DatasetError
from lamplighter.studio.calls import Fields, RequestError, call
from lamplighter.studio.features import features_of
from lamplighter.studio.kept_labels import KeptLabels

if TYPE_CHECKING:
    from lamplighter.features.clinic.label_errors import LabelErrors, Suspect
    from lamplighter.features.clinic.label_next import Proposal
    from lamplighter.studio.jobs import Job
    from lamplighter.studio.project import Table
    from lamplighter.studio.studio import Studio

_NEXT = 50  # images that are proposed at once


@dataclass(eq=False)
class _Kept:
    """What was found of the folder last, and the tables that it was made of."""

    found: LabelErrors | None = None
    proposals: tuple[Proposal, ...] | None = None
    found_at: tuple[int, int] = (0, 0)  # scan and change
    proposed_at: tuple[int, int] = (0, 0)


def start_suspects(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Look for labels that are probably wrong."""
    return studio.jobs.start("suspects", lambda job: _find(studio, job)).to_dict()


def last_suspects(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return the suspects that were found last, the most suspicious first."""
    kept, table = _kept(studio), studio.project.table()
    if kept.found is None:
        return {"made": False}
    right = _kept_labels(studio)
    return {
        "made": True,
        "scan": table.scan,
        "made_of": list(kept.found_at),
        "summary": kept.found.summary(),
        "checked": kept.found.checked,
        "estimated": kept.found.estimated,
        "suspects": [
            _suspect(one, table, kept=right.get(one.path) == one.label)
            for one in kept.found.suspects
            if one.path in table.rows
        ],
    }


def keep_labels(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Note that labels are right though they look wrong; null asks again."""
    table, labels = studio.project.table(), fields.optional_text("label")
    paths = fields.texts("paths")
    for path in paths:
        if path not in table.rows:
            raise RequestError(f"the project has no file {path!r}; open the folder anew.")
    _kept_labels(studio).change(dict.fromkeys(paths, labels))
    studio.events.publish("kept", {})
    return {}


def start_next(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Look for the images without a label that are best labeled next."""
    count = fields.integer("count", _NEXT)
    return studio.jobs.start("next", lambda job: _propose(studio, job, count)).to_dict()


def last_next(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return the images that were proposed last, the best first."""
    kept, table = _kept(studio), studio.project.table()
    if kept.proposals is None:
        return {"made": False}
    return {
        "made": True,
        "scan": table.scan,
        "made_of": list(kept.proposed_at),
        "proposals": [
            {"row": table.rows[one.path], **one.to_dict()}
            for one in kept.proposals
            if one.path in table.rows
        ],
    }


def _find(studio: Studio, job: Job) -> dict[str, int]:
    from lamplighter.features.clinic.label_errors import find_label_errors

    kept = _kept(studio)
    table = studio.project.table()
    features = features_of(studio, job)
    with job.progress("judging each label"):
        found = find_label_errors(features)
    kept.found, kept.found_at = found, (table.scan, table.change)
    return {"suspects": len(found)}


def _propose(studio: Studio, job: Job, count: int) -> dict[str, int]:
    from lamplighter.features.clinic.label_next import label_next

    kept = _kept(studio)
    table = studio.project.table()
    if (table.usable().labels >= 0).all():
        raise DatasetError("every image in use has a label; there is nothing to label next.")
    features = features_of(studio, job)
    with job.progress("choosing images"):
        proposals = label_next(features, count=count)
    kept.proposals, kept.proposed_at = proposals, (table.scan, table.change)
    return {"proposals": len(proposals)}


def _kept(studio: Studio) -> _Kept:
    return studio.kept("clinic", _Kept)


def _kept_labels(studio: Studio) -> KeptLabels:
    source = studio.project.source
    return studio.kept("kept labels", lambda: KeptLabels(source))


def _suspect(one: Suspect, table: Table, *, kept: bool) -> dict[str, Any]:
    return {
        "row": table.rows[one.path],
        "label": one.label,
        "suggestion": one.suggestion,
        "score": round(one.score, 4),
        "probability": one.probability,
        "reasons": list(one.reasons),
        "neighbors": [
            {
                "row": table.rows[other.path],
                "label": other.label,
                "similarity": round(other.similarity, 3),
            }
            for other in one.neighbors
            if other.path in table.rows
        ],
        "copy": table.rows.get(one.copy, -1),
        "kept": kept,
    }


routes = [
    Route("/api/suspects", call(start_suspects), methods=["POST"]),
    Route("/api/suspects", call(last_suspects)),
    Route("/api/suspects/keep", call(keep_labels), methods=["POST"]),
    Route("/api/next", call(start_next), methods=["POST"]),
    Route("/api/next", call(last_next)),
]
