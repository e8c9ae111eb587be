"""The Muon optimizer (Jordan et al. 2024), which orthogonalises its updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim.adamw import adamw as adamw_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

# Jordan's polynomial a x + b x^3 + c x^5, which brings singular values in 0..1 near 1 in 5 rounds.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_MOMENTUM = 0.95
_EPSILON = 1e-8


class Muon(torch.optim.Optimizer):
    """Muon for convolutions that take several maps, and AdamW for all other weights.

    Muon (K. Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/) makes the
    momentum of a matrix orthogonal; a convolution counts as a matrix of its outputs by its
    inputs. torch's takes no convolutions, timm's computes in bfloat16, which a processor without
    units for it imitates at a twentieth of its speed.

    Args:
        network: what is trained.
        learning_rate: of Muon.
        weight_decay: of Muon, apart from the gradient as in AdamW.
        betas: of AdamW; a cycle of the learning rate moves the first of them.
        adamw_rate: the learning rate of AdamW, relative to that of Muon.
        adamw_decay: the weight decay of AdamW, relative to that of Muon.
    """

    def __init__(
        self,
        network: nn.Module,
        learning_rate: float,
        weight_decay: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        adamw_rate: float = 0.15,
        adamw_decay: float = 4.0,
    ) -> None:
        weights = list(network.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [w for w in weights if _joins_maps(w)], "muon": True},
            {
                "params": [w for w in weights if not _joins_maps(w)],
                "muon": False,
                "weight_decay": adamw_decay * weight_decay,
            },
        ]
        # Schedulers give all groups one rate, so that the ratio stands apart from it.
        defaults = {
            "lr": learning_rate,
            "weight_decay": weight_decay,
            "betas": betas,
            "adamw_rate": adamw_rate,
        }
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move all weights that have a gradient; return what `closure` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if group["muon"]:
                for weight in weights:
                    self._turn(weight, group["lr"], group["weight_decay"])
            elif weights:
                self._adapt(weights, group)
        return loss

    def _turn(self, weight: Tensor, rate: float, decay: float) -> None:
        """Move one convolution's weights (O, I, H, W) by its orthogonalised momentum."""
        gradient, state = weight.grad, self.state[weight]
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        ahead = gradient.lerp(momentum, _MOMENTUM).flatten(1)  # Nesterov's, (O, I H W)
        outputs, inputs = ahead.shape
        direction = orthogonalised(ahead) * max(1.0, outputs / inputs) ** 0.5
        weight.mul_(1 - rate * decay).sub_(direction.reshape(weight.shape), alpha=rate)

    def _adapt(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Move weights as AdamW does, by torch's own function."""
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {
                    "step": torch.zeros((), dtype=torch.float32, device=weight.device),
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }
        states = [self.state[weight] for weight in weights]
        adamw_step(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"] * group["adamw_rate"],
            weight_decay=group["weight_decay"],
            eps=_EPSILON,
            maximize=False,
        )


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix (M, N) with the same singular vectors, all singular values near 1.

    Each round of the iteration multiplies X by P = a + b X X' + c (X X')^2. All of these commute,
    so that they can be multiplied among themselves, in the smaller of M and N dimensions.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalised(matrix.T).T
    wide = matrix / matrix.norm().clamp(min=1e-7)  # no singular value is above 1
    gram = wide @ wide.T  # (M, M)
    product = polynomial = _polynomial(gram)
    for _ in range(_ROUNDS - 1):
        gram = polynomial @ gram @ polynomial
        polynomial = _polynomial(gram)
        product = polynomial @ product
    orthogonal: Tensor = product @ wide
    return orthogonal


def _polynomial(gram: Tensor) -> Tensor:
    """Return the P of a round for X X', both (M, M)."""
    a, b, c = _COEFFICIENTS
    polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
    polynomial.diagonal().add_(a)
    return polynomial


def _joins_maps(weight: nn.Parameter) -> bool:
    """Return whether it is a convolution's (O, I, H, W), over more than one map."""
    return weight.ndim == 4 and weight.shape[1] > 1
