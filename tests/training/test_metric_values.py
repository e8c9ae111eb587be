"""Numbers kept on their device."""

from __future__ import annotations

import pytest
import torch

from lamplighter.training.metrics import Values


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 5000])
def test_numbers_come_back_in_order(count: int) -> None:
    values = Values()
    for number in range(count):
        values.append(torch.tensor(number / 2))
    expected = [number / 2 for number in range(count)]
    assert len(values) == count
    assert values.read() == expected
    assert values.read(10) == expected[-10:]
    assert values.device.type == "cpu"


def test_whole_numbers_and_nan() -> None:
    counts = Values()
    counts.append(torch.tensor(3))
    assert counts.read() == [3]
    losses = Values()
    losses.append(torch.tensor(float("nan"), requires_grad=True).detach())
    assert losses.read(1)[0] != losses.read(1)[0]


def test_a_value_that_changes_later_is_kept_as_it_was() -> None:
    values, loss = Values(), torch.tensor(1.0)
    values.append(loss)
    loss.add_(1)
    assert values.read() == [1.0]
