"""Which devices there are to train on."""

from __future__ import annotations

import torch

from lamplighter.errors import TrainingError


def check_device(name: str) -> str:
    """Return `name` if it is a device of this machine.

    Raises:
        TrainingError: it is not; the message lists what there is.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    there = _devices()
    if device is None or (str(device) not in there and device != torch.device("cpu", 0)):
        raise TrainingError(
            f"the device must be one of {', '.join(there)}, received {name!r}; "
            "leave it out to take the fastest."
        )
    return name


def _devices() -> list[str]:
    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there += ["mps", "mps:0"]
    return there
