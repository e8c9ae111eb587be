import io

import numpy as np
import pytest

from lamplighter.errors import DatasetError
from lamplighter.evaluation.reliability import make_trust
from lamplighter.evaluation.reliability_plots import (
    coverage_of,
    plot_coverage,
    plot_reliability,
    reliabilities,
)
from lamplighter.models.reliability import Trust


@pytest.fixture
def trust(reader):
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(300, 3)).astype(np.float32) * 6
    labels = np.where(generator.random(300) < 0.7, logits.argmax(axis=1), 0)
    return make_trust(
        reader("abc"),
        val_logits=logits,
        val_labels=labels,
        val_features=generator.normal(size=(300, 4)).astype(np.float32),
        train_features=generator.normal(size=(50, 4)).astype(np.float32),
    )


def drawn(figure):
    picture = io.BytesIO()
    figure.savefig(picture)
    return picture.getvalue().startswith(b"\x89PNG")


def test_reliability_shows_each_bin_before_and_after(trust):
    before, after = reliabilities(trust)
    figure = plot_reliability(trust)
    assert drawn(figure)
    upper, lower = figure.axes[:2], figure.axes[2:]
    assert f"{before.error:.1f}".split(" (")[0] in upper[0].get_title()
    assert f"temperature {trust.temperature:.2f}" in upper[1].get_title()
    for axes, counts, bins in zip(upper, lower, (before, after), strict=True):
        there = bins.count > 0
        dots = axes.containers[0].lines[0].get_xydata()
        expected = 100 * np.stack([bins.confidence[there], bins.accuracy[there]], axis=1)
        np.testing.assert_allclose(dots, expected)
        assert [bar.get_height() for bar in counts.patches] == bins.count.tolist()
        assert [text.get_text() for text in counts.texts] == [str(n) for n in bins.count[there]]


def test_coverage_shows_the_curve_and_the_threshold(trust):
    curve = coverage_of(trust)
    figure = plot_coverage(trust)
    assert drawn(figure)
    (axes,) = figure.axes
    line, mark = axes.lines
    np.testing.assert_allclose(
        line.get_xydata(), 100 * np.stack([curve.coverage, curve.accuracy], axis=1)
    )
    after = int((curve.threshold < trust.threshold).sum())
    assert 100 * curve.coverage[after - 1] < mark.get_xdata()[0] <= 100 * curve.coverage[after]
    assert "95 % interval" in axes.get_title()


@pytest.mark.parametrize(
    "measured",
    [
        {},
        {"calibration": None, "unknown": None},
        {"calibration": {"before": 3, "after": []}, "unknown": {"curve": {"coverage": "x"}}},
        {"calibration": {"before": {"count": [10**30]}}, "unknown": []},
    ],
)
def test_what_was_not_measured_cannot_be_drawn(measured):
    for draw in (plot_reliability, plot_coverage):
        with pytest.raises(DatasetError, match="measure it with add_trust") as caught:
            draw(Trust(measured=measured))
        assert "\n" not in str(caught.value)
