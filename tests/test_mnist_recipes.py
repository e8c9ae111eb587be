"""Recipes on the real MNIST, whole."""

import pytest

from lamplighter import evaluate, load, predict, save, train


@pytest.mark.slow
def test_the_quick_recipe_reaches_its_score_and_reads_drawn_digits(mnist, tmp_path):
    from pathlib import Path

    classifier = train(mnist, recipe="quick", seed=11, verbose=0)

    assert evaluate(classifier, mnist).accuracy.value >= 0.991
    loaded = load(save(classifier, tmp_path / "digits.lamp"))
    assert evaluate(loaded, mnist).accuracy.value == evaluate(classifier, mnist).accuracy.value
    drawn = sorted((Path(__file__).parent.parent / "src/lamplighter/data/digit_files").iterdir())
    assert len(drawn) == 10
    assert predict(loaded, drawn).labels == [path.stem[-1] for path in drawn]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "least"), [("simple-cnn", 0.98), ("better-cnn", 0.98)])
def test_the_lab_recipe_learns_in_two_epochs(mnist, model, least):
    classifier = train(mnist, recipe="lab", model=model, epochs=2, verbose=0)

    assert evaluate(classifier, mnist).accuracy.value >= least


@pytest.mark.slow
def test_the_best_recipe_learns_in_two_epochs(mnist):
    classifier = train(mnist, recipe="best", epochs=2, verbose=0)

    assert evaluate(classifier, mnist).accuracy.value >= 0.99
