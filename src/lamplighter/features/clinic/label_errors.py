"""`find_label_errors`: images whose label is probably wrong, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.arguments import checked
from lamplighter.errors import ArgumentError, DatasetError, ModelError
from lamplighter.features.clinic.confident_learning import learn_confidently
from lamplighter.features.clinic.cross_validation import OutOfFold
from lamplighter.features.clinic.neighbors import (
    directions_of,
    joined_groups,
    near_copies,
    nearest_others,
)
from lamplighter.features.heads.model_selection import Samples
from lamplighter.files.naming import shown
from lamplighter.text import align, counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lamplighter.features.clinic.confident_learning import ConfidentLearning
    from lamplighter.features.extraction import Features

NEIGHBORS = 10
_MOST = 0.5  # of a class: what most images of a class say is what the class is
# Share of the neighbors with another label, below which they vouch for the given one.
_AGAINST = 0.7
# Share of the neighbors of the class that the model suggests that is enough by itself: where few
# labels are wrong, none may be confidently of another class by the threshold of a sure model.
_FOR = 0.9
_WITNESSES = 3  # neighbors at least for that
_FEW = 10  # images of a class from which it is learned well enough to be trusted
_NO_OTHER = "its class has no other image that does not belong together with it"
_ROWS = 4096  # that are looked at at a time


@dataclass(frozen=True)
class Neighbor:
    """An image that is similar to another.

    Attributes:
        path: the file, relative to the root of its data set.
        label: the name of its class.
        similarity: cosine of the two vectors, -1..1.
    """

    path: str
    label: str
    similarity: float


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """An image whose label is probably wrong.

    Attributes:
        path: the file, relative to the root of its data set.
        label: the name of the class that it is given to.
        suggestion: the name of the class that it rather is of.
        score: how likely the given label is, 0..1, the lower the more suspicious: the mean of
            `probability` and of the share of the neighbors that have the same label.
        probability: that of the given label, 0..1, by a model that has not learned from the
            image; None where there can be no such model.
        reasons: why, a sentence each.
        neighbors: the most similar images that have a label, without its near-copies and what is
            of one group with it; the most similar first.
        disagreement: the share of these that has another label, 0..1; None where there are none.
        copy: a file of the same or nearly the same picture with another label, "" where none.
    """

    path: str
    label: str
    suggestion: str
    score: float
    probability: float | None
    reasons: tuple[str, ...]
    neighbors: tuple[Neighbor, ...]
    disagreement: float | None
    copy: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelErrors:
    """What `find_label_errors` found.

    Attributes:
        suspects: images whose label is probably wrong; copies with different labels first, then
            by score, the most suspicious first.
        ranking: places in the features of all images that were judged, the most suspicious first;
            first the suspects among them, then the others by `probabilities`.
        checked: how many images were judged.
        unchecked: the images with a label that could not be judged, and why, by path.
        unlabeled: how many images have no label.
        estimated: how many labels are estimated to be wrong, by confident learning.
        probabilities: that of each label as in `Suspect`, in the order of the features, shape
            (N,); NaN for an image that was not judged.
    """

    suspects: tuple[Suspect, ...]
    ranking: NDArray[np.intp]
    checked: int
    unchecked: dict[str, str]
    unlabeled: int
    estimated: int
    probabilities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.suspects)

    def to_dict(self) -> dict[str, Any]:
        """Return all but ranking and probabilities in plain JSON types."""
        return {
            "checked": self.checked,
            "estimated": self.estimated,
            "unlabeled": self.unlabeled,
            "unchecked": dict(self.unchecked),
            "suspects": [asdict(suspect) for suspect in self.suspects],
        }

    def table(self, limit: int | None = None) -> str:
        """Return the suspects as text, a line each; of more than `limit` the first."""
        if not self.suspects:
            return "no label is suspicious"
        rows = [["image", "label", "rather", "probability of its label", "neighbors against"]]
        for one in self.suspects[:limit]:
            against = "-" if one.disagreement is None else share_text(one.disagreement)
            own = "-" if one.probability is None else share_text(one.probability)
            rows.append([shown(one.path), one.label, one.suggestion, own, against])
        return align(rows)

    def summary(self) -> str:
        """Return how many images were judged and how many are suspicious, in one sentence."""
        found = counted(len(self.suspects), "label is suspicious", "labels are suspicious")
        text = f"{found} of {self.checked + len(self.unchecked):,}"
        if self.unchecked:
            judged = counted(len(self.unchecked), "image is", "images are")
            text += f"; {judged} not judged by a model, which has no other image of the class"
        return f"{text}."


@checked
def find_label_errors(
    features: Features, *, seed: int = 0, neighbors: int = NEIGHBORS
) -> LabelErrors:
    """Return the images whose label is probably wrong, and why.

    Each image is judged by a linear head that has learned from other images: cross-validation
    with 5 folds, in which files of one group and near-copies stay together, so that they do not
    vouch for one another. From the probabilities confident learning estimates how many labels of
    each class are wrong (Northcutt et al., 2021, JAIR 70:1373-1411); as many of the class whose
    label is least probable are suspects, unless more than 3 in 10 of the most similar images have
    the same label. So are images of which 9 in 10 of the most similar ones are of the class that
    the model finds more probable. At most half of a class is suspected. Copies with different
    labels are suspects in any case: one of the two is wrong. All splits are checked together.

    Args:
        features: of files with labels; those without one are left out.
        seed: of the folds; the same seed gives the same answer.
        neighbors: how many of the most similar images are asked as well, 0 or more.

    Raises:
        DatasetError: fewer than two classes have images.
        ModelError: a feature is NaN or infinite.
        ArgumentError: `neighbors` is negative.
    """
    if neighbors < 0:
        raise ArgumentError(f"neighbors must be 0 or more, received {neighbors}.")
    check_finite(features)
    rows = np.flatnonzero(features.files.labels >= 0)
    classes, labels = np.unique(features.files.labels[rows], return_inverse=True)
    if len(classes) < 2:
        raise DatasetError(
            "labels are compared between two classes or more, received images of "
            f"{counted(len(classes), 'class', 'classes')}; put each class into its own folder."
        )
    labeled = features if len(rows) == len(features) else features.take(rows)
    records = _Records(labeled, labels, classes)
    samples = Samples(labeled.vectors, labels, len(classes), records.groups)
    heads = OutOfFold(samples, seed=seed)
    learning = learn_confidently(heads.blocks, labels, num_classes=len(classes))
    found = records.suspects(learning, neighbors)
    probabilities = np.full(len(features), np.nan)
    probabilities[rows] = learning.self_confidence
    return LabelErrors(
        suspects=tuple(suspect for _, suspect in found),
        ranking=rows[_ranking([row for row, _ in found], learning)],
        checked=int(heads.known.sum()),
        unchecked={features.files.paths[row]: _NO_OTHER for row in rows[~heads.known]},
        unlabeled=len(features) - len(rows),
        estimated=int(learning.wrong_in_class().sum()),
        probabilities=probabilities,
    )


def _ranking(suspects: Sequence[int], learning: ConfidentLearning) -> NDArray[np.intp]:
    """Return all rows that were judged: `suspects` first, then the others by self-confidence."""
    place = np.full(len(learning.labels), len(suspects))
    place[suspects] = np.arange(len(suspects))
    order = np.lexsort((learning.self_confidence, place))
    return order[learning.labels[order] >= 0]


def check_finite(features: Features) -> None:
    """Refuse vectors that hold NaN or an infinite number.

    Raises:
        ModelError: one does; its file is named.
    """
    for start in range(0, len(features), _ROWS):
        finite = np.isfinite(features.vectors[start : start + _ROWS]).all(axis=1)
        if not finite.all():
            path = features.files.paths[start + int(np.flatnonzero(~finite)[0])]
            raise ModelError(
                f"features must be finite, received NaN or an infinite number for {shown(path)}; "
                "compute them again, or leave the file out."
            )


class _Records:
    """The M images that have a label, and what is known of each.

    Args:
        features: of these images.
        labels: their classes, 0..K - 1, shape (M,).
        classes: the numbers that the K classes have in the data set.
    """

    def __init__(
        self, features: Features, labels: NDArray[np.int64], classes: NDArray[np.int64]
    ) -> None:
        files = features.files
        self._paths, self._contents = files.paths, features.hashes
        self._labels, self._counts = labels, np.bincount(labels)
        self._names: list[str] = [files.class_names[label] for label in classes]
        self._directions = directions_of(features.vectors)
        self._copies = near_copies(self._directions, labels, self._contents)
        self.groups = joined_groups(self._copies.groups, files.groups)

    def suspects(self, learning: ConfidentLearning, neighbors: int) -> list[tuple[int, Suspect]]:
        """Return the images whose label is suspicious and their rows, the most suspicious first."""
        conflicting, pruned = self._outvoted(learning), learning.pruned_by_class()
        rows = np.flatnonzero(learning.contradicted | conflicting)
        nearest = nearest_others(self._directions, rows, self.groups, count=neighbors)
        found = [
            (row, self._suspect(row, learning, others, alike))
            for row, (others, alike) in zip(rows.tolist(), nearest, strict=True)
            if conflicting[row] or self._agreed(row, learning, others, pruned=bool(pruned[row]))
        ]
        found.sort(key=lambda item: (not conflicting[item[0]], item[1].score, item[0]))
        return self._within_half(found)

    def _agreed(
        self, row: int, learning: ConfidentLearning, others: NDArray[np.intp], *, pruned: bool
    ) -> bool:
        """Return whether model and neighbors together make the label suspicious."""
        labels = self._labels[others]
        if not len(labels):
            return pruned
        if pruned and (labels != self._labels[row]).mean() >= _AGAINST:
            return True
        rather = labels == learning.suggestion[row]
        return len(labels) >= _WITNESSES and bool(rather.mean() >= _FOR)

    def _within_half(self, found: list[tuple[int, Suspect]]) -> list[tuple[int, Suspect]]:
        """Return the suspects without those beyond half of their class; copies all stay."""
        taken: Counter[int] = Counter()
        kept = []
        for row, one in found:
            label = int(self._labels[row])
            taken[label] += 1
            if one.copy or taken[label] <= _MOST * self._counts[label]:
                kept.append((row, one))
        return kept

    def _outvoted(self, learning: ConfidentLearning) -> NDArray[np.bool_]:
        """Return whether more copies of an image have another label than its own.

        Where as many have it, the image is meant whose label the model finds less probable.
        """
        sure = learning.self_confidence
        conflicting = self._copies.partner >= 0
        votes: dict[int, Counter[int]] = {}
        members = np.isin(self._copies.groups, self._copies.groups[conflicting])
        for row in np.flatnonzero(members).tolist():
            group = int(self._copies.groups[row])
            votes.setdefault(group, Counter())[int(self._labels[row])] += 1
        for row in np.flatnonzero(conflicting).tolist():
            cast = votes[int(self._copies.groups[row])].copy()
            own = cast.pop(int(self._labels[row]))
            surer = sure[row] > sure[self._copies.partner[row]]  # never where one is not judged
            conflicting[row] = max(cast.values()) + (not surer) > own
        return conflicting

    def _suspect(
        self,
        row: int,
        learning: ConfidentLearning,
        others: NDArray[np.intp],
        alike: NDArray[np.float32],
    ) -> Suspect:
        partner = int(self._copies.partner[row])
        probability = float(learning.self_confidence[row])
        known = probability == probability  # not NaN
        # Where the model does not contradict the label, a copy does.
        by_model = bool(learning.contradicted[row]) or partner < 0
        suggestion = int(learning.suggestion[row] if by_model else self._labels[partner])
        against = self._labels[others] != self._labels[row]
        disagreement = float(against.mean()) if len(others) else None
        evidence = [probability] * known
        evidence += [1 - disagreement] if disagreement is not None else []
        return Suspect(
            path=self._paths[row],
            label=self._names[self._labels[row]],
            suggestion=self._names[suggestion],
            score=float(np.mean(evidence)) if evidence else 0.0,
            probability=probability if known else None,
            reasons=tuple(self._reasons(row, learning, others)),
            neighbors=tuple(
                Neighbor(self._paths[other], self._names[self._labels[other]], float(close))
                for other, close in zip(others, alike, strict=True)
            ),
            disagreement=disagreement,
            copy=self._paths[partner] if partner >= 0 else "",
        )

    def _reasons(
        self, row: int, learning: ConfidentLearning, others: NDArray[np.intp]
    ) -> Iterator[str]:
        label, partner = int(self._labels[row]), int(self._copies.partner[row])
        if partner >= 0:
            same = self._contents[row] == self._contents[partner]
            what = "the same file as" if same else "nearly the same picture as"
            yield f"{what} {shown(self._paths[partner])}, which is labeled {self._name(partner)}"
        if learning.contradicted[row]:
            rather = self._names[learning.suggestion[row]]
            yield (
                f"a model that has not learned from it says {rather} "
                f"({share_text(learning.suggested_probability[row])}) rather than "
                f"{self._names[label]} ({share_text(learning.self_confidence[row])})"
            )
        votes = Counter(self._labels[others][self._labels[others] != label].tolist())
        if votes:
            most, count = votes.most_common(1)[0]
            yield (
                f"{votes.total()} of its {counted(len(others), 'nearest image')} have another "
                f"label, {count} of them {self._names[most]}"
            )
        if self._counts[label] < _FEW:
            size = counted(int(self._counts[label]), "image")
            yield f"{self._names[label]} has only {size}, so the model knows it badly"

    def _name(self, row: int) -> str:
        return self._names[int(self._labels[row])]


def share_text(share: float) -> str:
    """Return a share of 0..1 in per cent; what is not 0 or 1 is not rounded to it."""
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %"
