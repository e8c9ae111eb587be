"""A head of support vectors."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lamplighter.evaluation.calibration import fit_temperature, softmax
from lamplighter.features.search import Search, on_every_core
from lamplighter.models.svm_head import SVMHead, share_of_votes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lamplighter.features.search import Fold, Samples

    _Block = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]

COSTS = (1.0, 10.0, 100.0, 1000.0, 0.1)  # the usual one first
# Parts of 1 / (D x the mean variance of a feature), which scikit-learn calls "scale".
GAMMAS = (1.0, 1 / 4, 1 / 16, 4.0)
POWERS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_LARGEST = 6000  # vectors of which a whole kernel is kept in memory


def fit(
    samples: Samples, *, balanced: bool, seed: int
) -> tuple[SVMHead, dict[str, Any], dict[str, Any]]:
    """Return a head, its arguments, and the search for them.

    Tried are C, the kernel and gamma of the RBF kernel. The features are centred, and stretched
    so that their mean squared length is 1; gamma and C are for these.
    """
    centre, stretch = _scaling(samples.vectors)
    search = Search(samples, seed=seed)
    prepared = _prepared(search.samples.vectors, centre, stretch)
    weight = "balanced" if balanced else None
    for choice, kernel in _kernels(prepared):
        blocks = [_block(kernel, search.samples.labels, fold) for fold in search.folds]
        tried = partial(_tried, weight, search.samples.num_classes)
        decisions = iter(on_every_core(tried, product(COSTS, blocks)))
        for cost in COSTS:
            search.add(choice | {"C": cost}, [next(decisions) for _ in search.folds])
    head = _head(samples, search.parameters, weight=weight, scaling=(centre, stretch))
    power, scale = _shape(*search.answers(), classes=len(head.present))
    head.power.fill_(power)
    head.scale.fill_(scale)
    arguments = {"support": head.support, "kernel": head.kernel}
    return head, arguments, search.chosen(support_vectors=sum(head.support))


def _scaling(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Return the mean (D,) and what makes the mean squared length of centred vectors 1."""
    centre: NDArray[np.float64] = vectors.mean(0, dtype=np.float64)
    square = float(np.square(vectors - centre.astype(np.float32)).sum(1).mean(dtype=np.float64))
    return centre, 1 / square**0.5 if square > 0 else 1.0


def _prepared(
    vectors: NDArray[np.float32], centre: NDArray[np.float64], stretch: float
) -> NDArray[np.float64]:
    prepared: NDArray[np.float64] = (vectors - centre) * stretch
    return prepared


def _kernels(vectors: NDArray[np.float64]) -> Iterator[tuple[dict[str, Any], NDArray[np.float64]]]:
    """Give each kernel of all vectors with one another, (N, N), one after the other."""
    for gamma in GAMMAS:
        choice = {"kernel": "rbf", "gamma": gamma}
        yield choice, _kernel(vectors, choice)
    choice = {"kernel": "linear", "gamma": None}
    yield choice, _kernel(vectors, choice)


def _kernel(vectors: NDArray[np.float64], choice: dict[str, Any]) -> NDArray[np.float64]:
    products: NDArray[np.float64] = vectors @ vectors.T
    if choice["kernel"] == "linear":
        return products
    lengths = np.diagonal(products).copy()
    products *= -2  # from here on in place: the matrix may take hundreds of megabytes
    products += lengths[:, np.newaxis]
    products += lengths
    np.maximum(products, 0, out=products)
    products *= -choice["gamma"]
    return np.exp(products, out=products)


def _machine(cost: float, weight: str | None, **kernel: Any) -> Any:
    from sklearn.svm import SVC

    return SVC(
        C=cost,
        class_weight=weight,
        decision_function_shape="ovr",
        break_ties=True,
        **(kernel or {"kernel": "precomputed"}),
    )


def _block(kernel: NDArray[np.float64], labels: NDArray[np.int64], fold: Fold) -> _Block:
    """Return what a machine learns a fold from, and what it is then tried on."""
    train, test = fold.train, fold.test
    return kernel[np.ix_(train, train)], labels[train], kernel[np.ix_(test, train)]


def _tried(weight: str | None, num_classes: int, part: tuple[float, _Block]) -> NDArray[np.float64]:
    """Return what a machine of this C says of the rows of a fold that it has not seen."""
    cost, (learned, labels, unseen) = part
    machine = _machine(cost, weight).fit(learned, labels)
    return _decisions(machine, unseen, num_classes)


def _decisions(machine: Any, kernel: NDArray[np.float64], num_classes: int) -> NDArray[np.float64]:
    """Return votes and squashed confidences (N, K), as `SVMHead` gives them."""
    raw = machine.decision_function(kernel)
    if raw.ndim == 1:  # two classes: positive for the second
        squashed = raw / (3 * (np.abs(raw) + 1))
        raw = np.stack([(raw <= 0) - squashed, (raw > 0) + squashed], axis=1)
    decisions = np.full((len(raw), num_classes), -1.0)
    decisions[:, machine.classes_] = raw
    return decisions


def _shape(
    decisions: NDArray[np.float64], labels: NDArray[np.int64], *, classes: int
) -> tuple[float, float]:
    """Return the power and the scale that make the most likely probabilities of decisions."""
    if not len(labels):  # nothing to go by: as far apart as the votes
        return 1.0, classes - 1 / 3
    found = []
    absent = decisions < -1 / 2
    for power in POWERS:
        spread = np.maximum(share_of_votes(decisions, classes), 0) ** power
        logits = np.where(absent, -1.0, spread)
        scale = 1 / fit_temperature(logits, labels)
        chances = softmax(logits * scale)[np.arange(len(labels)), labels]
        found.append((float(-np.log(np.maximum(chances, 1e-12)).mean()), power, scale))
    _, power, scale = min(found)
    return power, scale


def _head(
    samples: Samples,
    parameters: dict[str, Any],
    *,
    weight: str | None,
    scaling: tuple[NDArray[np.float64], float],
) -> SVMHead:
    """Return a head that has learned from all `samples`."""
    vectors, cost = _prepared(samples.vectors, *scaling), parameters["C"]
    if len(vectors) <= _LARGEST:
        kernel = _kernel(vectors, parameters)
        machine = _machine(cost, weight).fit(kernel, samples.labels)
    else:
        gamma = {"gamma": parameters["gamma"]} if parameters["gamma"] else {}
        machine = _machine(cost, weight, kernel=parameters["kernel"], **gamma)
        machine.fit(vectors, samples.labels)
    support = [0] * samples.num_classes
    for label, count in zip(machine.classes_, machine.n_support_, strict=True):
        support[int(label)] = int(count)
    head = SVMHead(
        vectors.shape[1], samples.num_classes, support=support, kernel=parameters["kernel"]
    )
    # scikit-learn turns the signs round where there are two classes.
    sign = -1 if len(machine.classes_) == 2 else 1
    for buffer, values in (
        (head.centre, scaling[0]),
        (head.stretch, scaling[1]),
        (head.vectors, vectors[machine.support_]),
        (head.coefficients, sign * machine.dual_coef_),
        (head.intercepts, sign * machine.intercept_),
        (head.gamma, parameters["gamma"] or 1.0),
    ):
        buffer.copy_(torch.as_tensor(values))
    return head.eval()
