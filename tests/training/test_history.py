from __future__ import annotations

import math
from typing import Any

import pytest

from lamplighter.training.history import epoch_line, plot_history, values_line

ROWS: list[dict[str, Any]] = [
    {"running_loss": 9.0, "loss": 1.0, "acc": 0.5, "lr": [0.1, 0.2], "train_steps": 5},
    {"running_loss": 9.0, "loss": 0.5, "acc": 0.6, "val_acc": 0.7, "train_steps": 5, "test_acc": 1},
    {"running_loss": 9.0, "loss": 0.4, "acc": 0.8, "val_acc": 0.6, "validation_steps": None},
]


def test_a_panel_for_each_metric_with_its_values() -> None:
    figure = plot_history(ROWS)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "acc"]
    assert all(axes.get_xlabel() == "epoch" for axes in figure.axes)
    loss, acc = figure.axes
    assert [line.get_label() for line in loss.lines] == ["training"]
    assert list(loss.lines[0].get_ydata()) == [1.0, 0.5, 0.4]
    assert list(loss.lines[0].get_xdata()) == [1, 2, 3]
    training, validation = acc.lines
    assert list(training.get_ydata()) == [0.5, 0.6, 0.8]
    values = list(validation.get_ydata())
    assert math.isnan(values[0])  # validation data that came in a second run
    assert values[1:] == [0.7, 0.6]
    assert training.get_color() != validation.get_color()
    assert training.get_linestyle() != validation.get_linestyle()


@pytest.mark.parametrize("history", [[], [{"loss": 1.0}], [{"val_loss": 1.0, "train_steps": 3}]])
def test_little_or_no_history(history: list[dict[str, Any]], tmp_path: Any) -> None:
    figure = plot_history(history)
    figure.savefig(tmp_path / "curves.png")
    assert len(figure.axes) == len(history)


@pytest.mark.parametrize(("metrics", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (7, 3)])
def test_many_panels_stand_in_rows(metrics: int, columns: int) -> None:
    figure = plot_history([{f"m{number}": 1.0 for number in range(metrics)}] * 2)
    assert figure.get_size_inches()[0] == pytest.approx(4.2 * columns)
    assert len(figure.axes) == metrics


def test_ticks_are_whole_epochs() -> None:
    figure = plot_history([{"loss": 1.0}, {"loss": 0.5}])
    figure.draw_without_rendering()
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())


def test_line_of_an_epoch() -> None:
    row = {"running_loss": 3.0, "loss": 0.12345, "acc": 1.0, "val_loss": 2e-5, "lr": [1.0, 2.0]}
    row |= {"train_steps": 5, "validation_steps": None}
    assert epoch_line(1, 10, row) == "epoch 2/10: loss 0.1235, acc 1.0000, val_loss 2e-05"
    assert epoch_line(0, 1, {}) == "epoch 1/1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"),
        (1e-3, "0.0010"),
        (-0.5, "-0.5000"),
        (123456.7, "1.23e+05"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (7, "7"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert values_line({"x": value}) == f"x {text}"


def test_what_is_no_number_is_left_out() -> None:
    assert values_line({"a": None, "b": True, "c": [1.0], "d": "text", "e": 1.5}) == "e 1.5000"
