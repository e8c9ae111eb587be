"""Integrated gradients (Sundararajan et al. 2017), with adaptive steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from lamplighter.errors import ModelError
from lamplighter.explain.attribution.covers import baseline_name
from lamplighter.explain.attribution.requests import (
    Answer,
    baseline_of,
    batches,
    gradients_explained,
    no_gradient,
)
from lamplighter.explain.hooks import voting_head

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lamplighter.explain.attribution.requests import Asked

GAP = 0.05  # of the whole, up to which parts add up
MOST_STEPS = 256  # some 11 s on two cores for a photo of 224 x 224
_FIRST_STEPS = 16
_HALVED_AT_ONCE = 8  # so that one step's luck does not decide where to stop
_TINY = 1e-6


def integrated_gradients(
    asked: Asked, *, least_steps: int = 48, baseline: str | None = None
) -> Answer:
    """Find what each pixel contributes to the score, beyond that of a baseline.

    The difference of the image to the baseline times the gradient, in the mean over the straight
    way from the one to the other, added up over channels (Sundararajan et al., 2017,
    arXiv:1703.01365). Contributions may be negative; together they are the score of the image
    less that of the baseline (completeness). It says nothing of pixels that equal the baseline,
    and another baseline asks another question.

    The gradient of a deep network jumps on the way, mostly near the baseline, so that the mean
    over even steps may miss completeness by half. The score at both ends of a step tells what its
    contributions should add up to: steps that miss it by most are halved, at least until there
    are `least_steps`, and on until all together miss the score's difference by at most 5 %, or
    there are 256. A note says where they miss it still. Where a head counts votes, in jumps that
    no gradient sees, `least_steps` even steps are taken and no more.

    Args:
        asked: what is asked.
        least_steps: in how many parts the way is cut at least, 2 or more; more than 256 are taken
            where asked for.
        baseline: "black", "mean" or "blur" (see `baseline_name` for the default).

    Returns:
        The maps; measured are `gap`, by which share of the score's difference the contributions
        miss it, and `steps`, how many were taken.

    Raises:
        ModelError: `least_steps` or `baseline` is not one of these.
        NoGradientError: the scores do not change with the image.
    """
    if type(least_steps) is not int or least_steps < 2:
        raise ModelError(f"least_steps must be an integer of at least 2, received {least_steps!r}.")
    name = baseline_name(asked.preprocessing, baseline)
    votes = voting_head(asked.network)
    maps, gaps, taken = [], [], []
    for one in asked.one_by_one():
        way = _Way(one, baseline_of(one.inputs, asked.preprocessing, name))
        way.add(
            torch.linspace(0, 1, 1 + (least_steps if votes else min(least_steps, _FIRST_STEPS)))
        )
        while way.steps < least_steps or (
            votes is None and way.gap > GAP and way.steps < MOST_STEPS
        ):
            way.halve(_HALVED_AT_ONCE)
        contributions = way.contributions()
        if not bool(contributions.any()) and abs(way.whole) > _TINY:
            raise no_gradient(asked.network)
        maps.append(contributions)
        gaps.append(way.gap)
        taken.append(way.steps)
    return Answer(
        torch.stack(maps),
        {"least_steps": least_steps, "baseline": name},
        _notes(gaps, taken, votes),
        {"gap": np.array(gaps), "steps": np.array(taken)},
    )


def _notes(gaps: list[float], taken: list[int], votes: nn.Module | None) -> tuple[str, ...]:
    """Return what to say of contributions that do not add up."""
    missing = [number for number, gap in enumerate(gaps) if gap > GAP]
    if not missing:
        return ()
    steps = max(taken[number] for number in missing)
    cause = (
        f"the score jumps on the way from the baseline; more steps (least_steps={4 * steps}) or "
        "another baseline may help."
        if votes is None
        else f"its {type(votes).__name__} counts votes, in jumps that gradients do not see; "
        "occlusion needs no gradients."
    )
    where = f"in {len(missing)} of {len(gaps)} images " if len(gaps) > 1 else ""
    return (
        f"{where}the contributions miss the score's difference by more than {100 * GAP:g} % (by "
        f"{100 * max(gaps):.0f} %) with {steps} steps: {cause}",
    )


class _Way:
    """The straight way from a baseline to an image, with scores and gradients at some places.

    Places are shares of the way, 0 at the baseline and 1 at the image. Between two neighbours the
    gradient counts as the mean of theirs (the trapezoidal rule), so that halving a step keeps
    what was computed.
    """

    def __init__(self, one: Asked, base: Tensor) -> None:
        self.one, self.base = one, base
        self.places = self.scores = self.sums = torch.empty(0, dtype=torch.float64)
        self.maps: list[Tensor] = []  # gradient times difference at each place, each (H, W)

    def add(self, places: Tensor) -> None:
        """Compute scores and gradients at `places`, shape (S,)."""
        one, target = self.one, int(self.one.targets)
        difference = one.inputs - self.base
        for part in batches(len(places), one.gradient_batch):
            shares = places[part].to(difference).reshape(-1, 1, 1, 1)
            points = (self.base + shares * difference).requires_grad_()
            with torch.enable_grad(), gradients_explained(one.network):
                scores = one.network(points)[:, target]
                (gradient,) = torch.autograd.grad(scores.sum(), points)
            maps = (gradient * difference).sum(1).cpu()
            self.maps.extend(maps)
            self.scores = torch.cat([self.scores, scores.detach().cpu().double()])
            self.sums = torch.cat([self.sums, maps.double().sum((1, 2))])
        self.places = torch.cat([self.places, places.double()])

    def halve(self, count: int) -> None:
        """Halve the `count` steps whose contributions miss the change of the score by most."""
        order = self.places.argsort()
        places, scores, sums = self.places[order], self.scores[order], self.sums[order]
        missed = (scores.diff() - places.diff() * (sums[1:] + sums[:-1]) / 2).abs()
        worst = missed.topk(min(count, len(missed))).indices
        self.add((places[worst] + places[worst + 1]) / 2)

    @property
    def steps(self) -> int:
        """In how many parts the way is cut."""
        return len(self.places) - 1

    @property
    def whole(self) -> float:
        """The score of the image less that of the baseline."""
        return float(self.scores[self.places.argmax()] - self.scores[self.places.argmin()])

    @property
    def gap(self) -> float:
        """By which share of the whole the contributions miss it."""
        return _gap(float(self._weights() @ self.sums), self.whole)

    def contributions(self) -> Tensor:
        """Return what each pixel contributes, shape (H, W)."""
        total = torch.zeros_like(self.maps[0], dtype=torch.float64)
        for weight, one in zip(self._weights().tolist(), self.maps, strict=True):
            total += weight * one
        return total.float()

    def _weights(self) -> Tensor:
        """Return how much of the way each place stands for, shape (S,)."""
        order = self.places.argsort()
        halves = self.places[order].diff() / 2
        weights = torch.zeros_like(self.places)
        weights[order[:-1]] += halves
        weights[order[1:]] += halves
        return weights


def _gap(total: float, whole: float) -> float:
    """Return by which share of `whole` it is missed."""
    missed = abs(total - whole)
    return 0.0 if missed < _TINY else missed / max(abs(whole), _TINY)
