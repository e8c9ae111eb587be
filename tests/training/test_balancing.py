from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from lamplighter import Classifier, ImageData, Split, Trial, train
from lamplighter.errors import TrainingError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.training.balancing import class_weights
from lamplighter.training.callbacks import on_batch_start, on_epoch_start

from . import toys

SIZE = 12


def uneven(seed: int = 0) -> ImageData:
    """90 training images of class a and 10 of b, all noise."""
    labels = np.repeat(np.arange(2), (90, 10))
    shape = (len(labels), 3, SIZE, SIZE)
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    preprocessing = Preprocessing(height=SIZE, width=SIZE)
    return ImageData({"train": Split(images, labels)}, ("a", "b"), preprocessing=preprocessing)


def test_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 3], [70, 20, 10])
    weights = class_weights(labels, 4)
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose(weights[[0, 1, 3]], expected, rtol=1e-6)
    assert weights[2] == 1
    assert weights.dtype == torch.float32
    assert float(weights[torch.from_numpy(labels)].mean()) == pytest.approx(1)


def test_a_balanced_trial_sees_the_rare_class_as_often() -> None:
    data = uneven()
    seen: list[int] = []

    @on_batch_start
    def note(view) -> None:
        seen.extend(view.targets.tolist())

    for balance, low, high in (("none", 40, 40), ("sampler", 150, 250)):
        seen.clear()
        classifier = Classifier.new("better-cnn", data)
        trial = Trial(classifier, callbacks=[note], verbose=0, seed=1)
        trial.with_images(data, 16, balance=balance).run(4)  # type: ignore[arg-type]
        assert len(seen) == 400
        assert low <= sum(seen) <= high
    with pytest.raises(TrainingError, match="balance must be none or sampler here"):
        trial.with_images(data, balance="weights")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("balance", "expected"), [("none", 0.1), ("weights", 0.5), ("sampler", 0.5)]
)
def test_what_is_expected_of_an_image_that_tells_nothing(balance: str, expected: float) -> None:
    data = uneven()
    blank = Split(np.zeros_like(data["train"].images), data["train"].labels)
    data = ImageData({"train": blank}, ("a", "b"), preprocessing=data.preprocessing)
    arguments = {"recipe": "photos", "balance": balance, "augment": False, "verbose": 0}
    classifier = train(data, epochs=8, **arguments)  # type: ignore[arg-type]
    assert classifier.record.recipe["balance"] == balance
    assert classifier.record.recipe["augmentation"] == "None"
    with torch.no_grad():
        logits = classifier.network.eval()(torch.full((1, 3, SIZE, SIZE), -1.0))
    assert float(logits.softmax(1)[0, 1]) == pytest.approx(expected, abs=0.08)


def test_weights_change_the_loss_and_stay_over_a_resume(tmp_path) -> None:
    data = uneven()
    arguments = {"recipe": "photos", "balance": "weights", "verbose": 0}
    whole = train(data, epochs=3, **arguments)

    class Stop(Exception):
        pass

    @on_epoch_start
    def stop(view) -> None:
        if view.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        train(data, epochs=3, folder=tmp_path, callbacks=[stop], **arguments)
    resumed = train(data, epochs=3, folder=tmp_path, resume=True, **arguments)
    assert toys.same_weights(whole.network, resumed.network)
    with pytest.raises(TrainingError, match="balance must be one of none, weights, sampler"):
        train(data, balance="odd", verbose=0)  # type: ignore[arg-type]
