from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lamplighter import TEST_DATA, TRAIN_DATA, VALIDATION_DATA, Classifier, Trial
from lamplighter.datasets.augmentation import RandomShift
from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.errors import ArgumentError, ClassCountError, ShapeError, TrainingError
from lamplighter.images.preprocessing import Preprocessing

from . import toys


def test_tensors_as_data() -> None:
    watcher = toys.Steps()
    trial = toys.trial(callbacks=[watcher])
    images, labels = toys.examples(20)
    trial.with_train_data(images, labels, batch_size=4, shuffle=False)
    trial.with_val_data(images[:6] + 1, labels[:6], 3).with_test_data(images[:5], y=labels[:5])
    trial.run(1)
    assert watcher.pixels == images[::4, 0, 0, 0].tolist()
    assert trial.history[0]["validation_steps"] == 2
    assert set(trial.evaluate(data_key=TEST_DATA)) == {"test_loss", "test_acc"}
    trial.with_train_data(images, labels, 4).run(1)  # shuffled
    assert watcher.pixels[5:] != watcher.pixels[:5]
    with pytest.raises(TrainingError, match="received 20 and 19"):
        trial.with_train_data(images, labels[:-1])


def test_each_split_can_be_given_alone() -> None:
    trial = toys.trial().with_train_generator(toys.loader(16), 1)
    trial.with_val_generator(toys.loader(16, 1), 2).with_test_generator(toys.loader(24, 2), 3)
    assert [trial.sources[key].length for key in (TRAIN_DATA, VALIDATION_DATA, TEST_DATA)] == [
        1,
        2,
        3,
    ]
    assert len(trial.run(1)) == 1


def test_more_steps_than_batches_begin_anew() -> None:
    watcher = toys.Steps()
    trial = toys.trial(callbacks=[watcher]).with_generators(
        toys.loader(24), toys.loader(16, 1), toys.loader(16, 2)
    )
    trial.for_steps(7, 5, 3).run(2)
    assert watcher.counts == [7, 7]
    first = toys.examples(24)[0][::8, 0, 0, 0].tolist()
    assert watcher.pixels == (first * 3)[:7] * 2
    assert trial.history[0]["train_steps"] == 7
    assert trial.history[0]["validation_steps"] == 5
    assert trial.predict().shape == (24, 3)  # 16 images and 8 again
    trial.for_train_steps(2).for_val_steps(1).for_test_steps(1).run(1)
    assert watcher.counts == [7, 7, 2]
    assert trial.history[2]["validation_steps"] == 1
    with pytest.raises(TrainingError, match="at least 1 step"):
        trial.for_train_steps(0).run(1)


def test_steps_stay_as_they_were_until_others_are_given() -> None:
    train, val = toys.loader(40), toys.loader(40, 1)
    trial = toys.trial().for_steps(3, 2.0).with_generators(train, val)  # type: ignore[arg-type]
    trial.run(1)
    assert (trial.history[0]["train_steps"], trial.history[0]["validation_steps"]) == (3, 2)
    trial.with_train_generator(train, 4).with_train_generator(train).run(1)
    assert trial.history[1]["train_steps"] == 4
    with pytest.raises(ArgumentError, match=r"must be a whole number, received 1\.5"):
        trial.for_train_steps(1.5)  # type: ignore[arg-type]


def test_any_iterable_of_batches() -> None:
    images, labels = toys.examples(40)
    batches = list(zip(torch.split(images, 8), torch.split(labels, 8), strict=True))
    networks = []
    for source in (batches, tuple(batches), toys.Endless(batches), toys.loader(40)):
        watcher = toys.Steps()
        trial = toys.trial(
            toys.network(dropout=0), seed=0, callbacks=[watcher], silence=["unshuffled"]
        )
        trial.with_generators(source, toys.Endless(batches)).run(2)
        assert watcher.counts == [5, 5]
        assert trial.history[0]["validation_steps"] == 5
        networks.append(trial.network)
    assert all(toys.same_weights(networks[0], other) for other in networks[1:])


def test_a_stream_of_torch() -> None:
    class Stream(torch.utils.data.IterableDataset[tuple[Tensor, Tensor]]):
        def __iter__(self):
            return iter(zip(*toys.examples(20), strict=True))

    class Counted(Stream):
        def __len__(self) -> int:
            return 20

    for dataset in (Stream(), Counted()):
        trial = toys.trial().with_generators(DataLoader(dataset, 5), DataLoader(dataset, 5))
        assert trial.run(1)[0]["train_steps"] == 4


def test_images_with_splits(tiny_digits: ImageData) -> None:
    data = tiny_digits.hold_out(0.25)
    classifier = Classifier.new("quick-cnn", data)
    trial = Trial(classifier, metrics=["acc"], verbose=0, seed=1)
    trial.with_images(data, 64, augmentation=RandomShift(1)).run(1)
    assert classifier.record.data == {name: data.fingerprint(name) for name in data.splits}
    assert trial.history[0].keys() >= {"acc", "val_acc"}
    assert trial.findings == []
    for key, name in ((TRAIN_DATA, "train"), (VALIDATION_DATA, "val"), (TEST_DATA, "test")):
        split = data[name]
        mean, std = data.preprocessing.mean[0], data.preprocessing.std[0]
        images = (torch.from_numpy(split.images).float() / 255 - mean) / std
        with torch.no_grad():
            expected = classifier.network.eval()(images)
        classifier.network.train()
        # In the order of the images, and as they are: neither shuffled nor augmented.
        torch.testing.assert_close(trial.predict(data_key=key), expected, rtol=1e-4, atol=1e-4)
        right = (expected.argmax(1) == torch.from_numpy(split.labels)).float().mean().item()
        assert trial.evaluate(data_key=key)[f"{key.value}_acc"] == pytest.approx(right)


def test_images_that_do_not_fit_the_classifier(tiny_digits: ImageData) -> None:
    names = [*tiny_digits.class_names[1:], "ten"]
    preprocessing = tiny_digits.preprocessing
    other = Classifier.new("quick-cnn", preprocessing=preprocessing, class_names=names)
    with pytest.raises(ClassCountError, match=r"by name: it has 1, 2.* has images of 0; make it"):
        Trial(other).with_images(tiny_digits)
    small = Preprocessing(height=24, width=20, channels=1, mean=(0.5,), std=(0.5,))
    other = Classifier.new("simple-cnn", preprocessing=small, class_names=tiny_digits.class_names)
    with pytest.raises(ShapeError, match=r"24 x 20 pixels.*received tiny-digits with 28 x 28"):
        Trial(other).with_images(tiny_digits)


def test_what_gives_no_batches(tiny_digits: ImageData) -> None:
    images, labels = toys.examples(16)
    wrong: Any
    for wrong, remedy in (
        ("photos", r"type str; read images with ImageData\.from_folder"),
        ((images, labels), r"type tuple; give inputs and targets apart: with_train_data\(x, y\)"),
        (images, r"type Tensor; give tensors to with_train_data"),
        (tiny_digits, r"type ImageData; give images to with_images"),
        (5, r"type int; give a list of batches, a DataLoader"),
    ):
        for give in (toys.trial().with_generators, toys.trial().with_test_generator):
            with pytest.raises(TrainingError, match=rf"must give batches .*{remedy}"):
                give(wrong)
    with pytest.raises(TrainingError, match="images must be ImageData, received one of type str"):
        toys.trial().with_images("photos")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=r"inputs must be .*type ndarray.*torch\.as_tensor"):
        toys.trial().with_train_data(images.numpy(), labels)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="targets must be a tensor, received one of type list"):
        toys.trial().with_val_data(images, labels.tolist())  # type: ignore[arg-type]
    for right in ([images, images], (images[:8], images[8:]), [(images, labels)]):
        toys.trial().with_test_generator(right)


def test_images_for_a_bare_network(tiny_digits: ImageData) -> None:
    only_train = ImageData(
        {"train": Split(tiny_digits["train"].images[:64], tiny_digits["train"].labels[:64])},
        tiny_digits.class_names,
        preprocessing=tiny_digits.preprocessing,
    )
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    trial = toys.trial(model).with_images(only_train, 16)
    assert trial.run(1)[0]["train_steps"] == 4
    with pytest.raises(TrainingError, match="no data"):
        trial.evaluate()
