"""Integrated gradients: a method of attribution whose parts add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from lamplighter.errors import ModelError
from lamplighter.explain.asked import (
    Answer,
    baseline_name,
    baseline_of,
    batches,
    gradients_explained,
    no_gradient,
)
from lamplighter.explain.hooks import voting_head

if TYPE_CHECKING:
    from torch import Tensor

    from lamplighter.explain.asked import Asked

GAP = 0.05  # of the whole, up to which parts add up
_TINY = 1e-6
_LARGEST_CORRECTION = 1.0  # of a step's weight


def integrated_gradients(
    asked: Asked, *, steps: int = 32, baseline: str | None = None, calibrated: bool = True
) -> Answer:
    """Find what each pixel contributes to the score, beyond that of a baseline.

    The difference of the image to the baseline times the gradient, in the mean over the straight
    way from the one to the other, added up over channels (Sundararajan et al., 2017,
    arXiv:1703.01365). Contributions may be negative; together they are the score of the image
    less that of the baseline (completeness). It says nothing of pixels that equal the baseline,
    and another baseline asks another question.

    The gradient of a deep network jumps on the way, so that the mean over some 32 steps may miss
    completeness by half. What the contributions must add up to is known, so pairs of steps are
    weighed anew by the least change of weights that gets there: weights 1 + e (s - mean of s) for
    pairs whose contributions add up to s (J.-C. Deville and C.-E. Särndal, 1992, J. Am. Stat.
    Assoc. 87:376-382). Where a weight would become negative, twice and then four times as many
    steps are taken (not where a head counts votes, in jumps that no step sees); where that does
    not help, the weights stay 1 and a note says so.

    Args:
        asked: what is asked.
        steps: how many, an even number of at least 2; the midpoints of as many equal parts of
            the way.
        baseline: "black", "mean" or "blur" (see `baseline_name` for the default).
        calibrated: weigh the steps so.

    Returns:
        The maps; measured are `gap`, by which share of the score's difference the contributions
        miss it, `plain_gap`, the same with all weights 1, and `steps`, how many were taken.
    """
    if type(steps) is not int or steps < 2 or steps % 2:
        raise ModelError(f"steps must be an even number of at least 2, received {steps!r}.")
    name = baseline_name(asked.preprocessing, baseline)
    maps, gaps, plain, taken = [], [], [], []
    votes = voting_head(asked.network)  # where more steps see no more
    counts = (steps, 2 * steps, 4 * steps) if calibrated and votes is None else (steps,)
    for one in asked.one_by_one():
        base = baseline_of(one.inputs, asked.preprocessing, name)
        logits = asked.logits(torch.cat([one.inputs, base]))[:, int(one.targets)].double()
        whole = float(logits[0] - logits[1])
        for count in counts:
            parts = _parts(one, base, count)  # (pairs, H, W)
            sums = parts.sum((1, 2))
            if not bool(parts.any()) and abs(whole) > _TINY:
                raise no_gradient(asked.network)
            weights = calibrated_weights(sums, whole) if calibrated else torch.ones_like(sums)
            if _gap(float((weights * sums).sum()), whole) <= GAP:
                break
        taken.append(count)
        plain.append(_gap(float(sums.sum()), whole))
        gaps.append(_gap(float((weights * sums).sum()), whole))
        maps.append((weights[:, None, None] * parts).sum(0).float())
    missing = sum(gap > GAP for gap in gaps)
    cause = (
        "the score jumps on the way from the baseline; take more steps."
        if votes is None
        else f"its {type(votes).__name__} counts votes, in jumps that gradients do not see; "
        "occlusion needs no gradients."
    )
    where = f"in {missing} of {len(gaps)} images " if len(gaps) > 1 else ""
    note = (
        f"{where}the contributions miss the score's difference by more than {100 * GAP:g} % (by "
        f"{100 * max(gaps):.0f} %): {cause}"
    )
    return Answer(
        torch.stack(maps),
        {"steps": steps, "baseline": name, "calibrated": calibrated},
        (note,) if missing else (),
        {"gap": np.array(gaps), "plain_gap": np.array(plain), "steps": np.array(taken)},
    )


def calibrated_weights(sums: Tensor, whole: float) -> Tensor:
    """Return weights, 1 in the mean, with which `sums` add up to `whole`.

    Args:
        sums: what the contributions of each part add up to, shape (S,).
        whole: what all together must be.

    Returns:
        Weights, shape (S,); all 1 where any would be negative.
    """
    centred = sums - sums.mean()
    spread = float(centred.square().sum())
    ones = torch.ones_like(sums)
    if spread < _TINY * _TINY:
        return ones
    changes = (whole - float(sums.sum())) / spread * centred
    return ones + changes if float(changes.abs().max()) <= _LARGEST_CORRECTION else ones


def _parts(one: Asked, base: Tensor, steps: int) -> Tensor:
    """Return what each pair of steps contributes, float64 of shape (steps / 2, H, W)."""
    from captum.attr import IntegratedGradients

    method, parts = IntegratedGradients(one.network), []
    pairs = steps // 2  # captum takes no fewer than two steps at a time
    shares = torch.linspace(0, 1, pairs + 1, device=base.device).reshape(-1, 1, 1, 1)
    for part in batches(pairs, max(1, one.gradient_batch // 2)):
        begin, end = (base + (one.inputs - base) * ends[part] for ends in (shares[:-1], shares[1:]))
        with gradients_explained(one.network):
            found = method.attribute(
                end,
                begin,
                target=int(one.targets),
                n_steps=2,
                method="riemann_middle",
            )
        parts.append(found.detach().double().sum(1))
    return torch.cat(parts)


def _gap(total: float, whole: float) -> float:
    """Return by which share of `whole` it is missed."""
    missed = abs(total - whole)
    return 0.0 if missed < _TINY else missed / max(abs(whole), _TINY)
