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
    drawn = sorted((Path(__file__).parents[1] / "src/lamplighter/datasets/digit_files").iterdir())
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


@pytest.mark.slow
def test_the_finder_loses_nothing_to_images_left_as_they_are(mnist):
    from functools import partial

    import numpy as np
    from PIL import Image, ImageFilter

    from lamplighter.errors import ImageError
    from lamplighter.images.digits.centering import centre_digit
    from lamplighter.inference.predictor import predict_pixels
    from tests.images.digits.test_two_level import SHOWN

    classifier = train(mnist, recipe="quick", seed=11, verbose=0, test=False)
    images, labels = mnist["test"].images[:, 0], mnist["test"].labels
    drawn = {
        "plain": lambda image: image,
        "thick": lambda image: image.filter(ImageFilter.MaxFilter(3)),
        "thin": lambda image: (
            image.resize((112, 112)).filter(ImageFilter.MinFilter(5)).resize((28, 28))
        ),
    }

    def right(pictures):
        return predict_pixels(classifier, np.stack(pictures)[:, None]).indices == labels

    def found(show, image):
        try:
            return centre_digit(show(image))
        except ImageError:
            return np.zeros((28, 28), np.uint8)

    losses = {}
    for name, draw in drawn.items():
        pictures = [draw(Image.fromarray(pixels)) for pixels in images]
        as_is = right([np.asarray(picture) for picture in pictures]).mean()
        for shown in ("inverted", "twice as large"):  # benchmarks/digit_finder.py has ten more
            finder = right(list(map(partial(found, SHOWN[shown]), pictures))).mean()
            losses[name, shown] = as_is - finder
    assert max(losses.values()) <= 0.003, losses
