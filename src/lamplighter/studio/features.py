"""The feature vectors of the images that are open, computed once for all views."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.features.extraction import Features, embed
from lamplighter.saving.pretrained import pretrained

if TYPE_CHECKING:
    from lamplighter.models.classifier import Classifier
    from lamplighter.studio.jobs import Job
    from lamplighter.studio.studio import Studio

BACKBONE = "efficientnet-lite0"


def backbone(studio: Studio) -> Classifier:
    """Return the network that all views see images with."""
    return studio.kept("backbone", lambda: pretrained(BACKBONE, fit="squash"))


def features_of(studio: Studio, job: Job) -> Features:
    """Return the vectors of all images that can be read, with the labels that hold now.

    Those set aside by the person are left out, and `files.set_aside` names them. Vectors are
    computed anew only where the folder was read again since.

    Raises:
        DatasetError: no image can be read.
        StoppedError: the person has stopped the job.
    """
    table, known = studio.project.table(), _vectors(studio)
    features = known.get(table.scan)
    if features is None:
        with job.progress("embedding") as progress:
            features = embed(backbone(studio), table.files, progress=progress)
        known.clear()
        known[table.scan] = features
    return _as_labelled(studio, features)


def known_features(studio: Studio) -> Features | None:
    """Return what `features_of` does where nothing has to be computed for it; else None."""
    features = _vectors(studio).get(studio.project.table().scan)
    return None if features is None else _as_labelled(studio, features)


def _vectors(studio: Studio) -> dict[int, Features]:
    """Return the vectors that are known, by the scan of the folder that they are of."""
    return studio.kept("features", dict)


def _as_labelled(studio: Studio, features: Features) -> Features:
    """Return features with the labels that hold now, without files that are set aside."""
    table = studio.project.table()
    rows = [table.rows.get(path, -1) for path in features.files.paths]
    there = np.array([place for place, row in enumerate(rows) if row >= 0], dtype=np.int64)
    files = replace(
        table.files.take([rows[place] for place in there]),
        set_aside=features.files.set_aside,
    )
    kept = [place for place, path in enumerate(files.paths) if path not in table.aside]
    return replace(
        features,
        vectors=features.vectors[there[kept]],
        hashes=tuple(features.hashes[place] for place in there[kept]),
        files=files.setting_aside(table.aside),
    )
