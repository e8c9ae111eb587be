"""Trainings for tests of the views that use one, made once."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.saving.bundle import save
from lamplighter.studio.held_out import HeldOut, write_answers
from lamplighter.studio.runs import BUNDLE, new_run_folder, write_notes
from lamplighter.transfer.ladder import Ladder, climb_ladder
from tests.studio.pictures import photos

if TYPE_CHECKING:
    from collections.abc import Iterator


@functools.cache
def ladder() -> Ladder:
    """What was learned of twelve pictures of each of three colors."""
    with tempfile.TemporaryDirectory() as folder:
        made = climb_ladder(photos(Path(folder) / "colors", each=12), rungs=["linear"], audit=False)
        made.classifier.trust  # noqa: B018 - measured by now
        return made


@functools.cache
def bundle() -> bytes:
    """The file of its classifier."""
    with tempfile.TemporaryDirectory() as folder:
        return save(ladder().classifier, Path(folder) / "colors.lamp").read_bytes()


def train(folder: Path, name: str = "Training 1") -> str:
    """Write the pictures into `folder` and keep the training among its runs; return its id."""
    made = ladder()
    photos(folder, each=12)
    run = new_run_folder(folder)
    (run / BUNDLE).write_bytes(bundle())
    held_out = [
        HeldOut(made.files.split(report.split).paths, report)
        for report in (made.chosen.report, *made.tests)
    ]
    write_answers(run, held_out)
    counts = {split: len(made.files.split(split)) for split in made.files.split_names}
    write_notes(run, {"name": name, "made": 1.0, "kind": "photos", "counts": counts})
    return run.name


def events(lines: Iterator[str], kind: str) -> Iterator[dict[str, object]]:
    """Give what is told of a kind."""
    for line in lines:
        if line == f"event: {kind}":
            yield json.loads(next(lines).removeprefix("data: "))
