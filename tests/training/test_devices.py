from __future__ import annotations

import pytest
import torch

from lamplighter.errors import TrainingError
from lamplighter.training.devices import check_device


@pytest.mark.parametrize("name", ["cpu", "cpu:0"])
def test_the_cpu_is_always_there(name):
    assert check_device(name) == name


def test_accelerators_are_those_of_the_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("cuda", "cuda:0", "cuda:1"):
        assert check_device(name) == name
    with pytest.raises(TrainingError, match="cuda:0, cuda:1, received 'cuda:2'"):
        check_device("cuda:2")


@pytest.mark.parametrize("name", ["", "lamp", "cpu:7", "meta", "xla"])
def test_others_are_refused(name):
    with pytest.raises(TrainingError, match="the device must be one of cpu"):
        check_device(name)
