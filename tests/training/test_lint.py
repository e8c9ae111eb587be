"""Each check: a trial that makes the mistake, one that does not, and silence by name."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
)

from lamplighter import CHECKS, Classifier, Trial
from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.errors import TrainingError
from lamplighter.training import lint
from lamplighter.training.callbacks import LiveCurves, on_batch_end, on_epoch_start

from . import toys

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.training.view import TrialView

Case = Callable[[list[str]], Trial]


def shuffled(model: nn.Module | None = None, **arguments: object) -> Trial:
    return toys.trial(model, **arguments).with_generators(toys.loader(64, shuffle=True))


def validates_on_training_data(silence: list[str]) -> Trial:
    train = toys.loader(64, shuffle=True)
    return toys.trial(silence=silence).with_generators(train, DataLoader(train.dataset, 16))


def unshuffled(silence: list[str]) -> Trial:
    return toys.trial(silence=silence).with_generators(toys.loader(64))


def softmax_first(silence: list[str]) -> Trial:
    return shuffled(nn.Sequential(toys.network(), nn.Softmax(dim=1)), silence=silence)


def labels_from_one(silence: list[str]) -> Trial:
    images, labels = toys.examples(64)
    return toys.trial(silence=silence).with_train_data(images, labels + 1, 8)


def evaluation_mode(silence: list[str]) -> Trial:
    @on_epoch_start
    def look(view: TrialView) -> None:
        assert view.network is not None
        view.network.eval()

    return shuffled(callbacks=[look], silence=silence)


def sorted_by_class(silence: list[str]) -> Trial:
    images, labels = toys.examples(150)
    order = labels.argsort()
    whole = torch.split(images[order][:24], 8), torch.split(labels[order][:24], 8)
    batches = toys.Endless(list(zip(*whole, strict=True)), noise=True)
    return toys.trial(silence=silence).with_generators(batches)


def exploding(silence: list[str]) -> Trial:
    model = toys.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=30.0)
    trial = Trial(model, optimizer, nn.CrossEntropyLoss(), verbose=0, silence=silence)
    return trial.with_generators(toys.loader(160, shuffle=True))


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = toys.network()
        self.spare = nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def unused_layer(silence: list[str]) -> Trial:
    return shuffled(Unused(), silence=silence)


class Forgetful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = toys.network()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(functional.dropout(images, 0.5))


def dropout_stays_on(silence: list[str]) -> Trial:
    return shuffled(Forgetful(), silence=silence)


def several_labels(silence: list[str], *metrics: str) -> Trial:
    images, labels = toys.examples(64)
    bits = functional.one_hot(labels, 3) | functional.one_hot((labels + 1) % 3, 3)
    model = toys.network()
    trial = Trial(
        model,
        torch.optim.Adam(model.parameters()),
        nn.BCEWithLogitsLoss(),
        metrics=["loss", *(metrics or ("acc",))],
        verbose=0,
        silence=silence,
    )
    return trial.with_train_data(images, bits.float(), 8)


def all_with_all(silence: list[str]) -> Trial:
    def squared(outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs - targets) ** 2).mean()

    model = toys.network(classes=1)
    trial = Trial(model, torch.optim.Adam(model.parameters()), squared, verbose=0, silence=silence)
    return trial.with_train_data(toys.examples(64)[0], torch.rand(64), 8)


def hook_of_older_versions(silence: list[str]) -> Trial:
    class Older(pl.Callback):
        def on_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            raise AssertionError("Lightning calls it no more")

    return shuffled(callbacks=[Older()], silence=silence)


def predicts_shuffled(silence: list[str]) -> Trial:
    trial = shuffled(silence=silence)
    trial.with_test_generator(toys.loader(16, 2, shuffle=True)).predict()
    return trial


MISTAKES: dict[str, tuple[Case, str]] = {
    "same-data": (validates_on_training_data, "data of its own"),
    "unshuffled": (unshuffled, "use shuffle=True"),
    "softmax": (softmax_first, "remove the softmax"),
    "labels": (labels_from_one, "count the classes from 0"),
    "targets": (
        several_labels,
        r"share of single labels .* 0\.33 for an answer without any: 'subset",
    ),
    "shapes": (all_with_all, r"\(8, 1\) .* \(8,\), every output with every target.*squeeze\(1\)"),
    "callbacks": (hook_of_older_versions, r"Older\.on_epoch_end\(\).*mean 'on_train_epoch_end'"),
    "order": (predicts_shuffled, r"nobody knows which answer is whose.*shuffle=False"),
    "mode": (evaluation_mode, r"call network\.train\(\)"),
    "one-class": (sorted_by_class, "shuffle it"),
    "exploding": (exploding, r"try 3, or find_learning_rate"),
    "no-gradient": (unused_layer, r"spare\.weight, .*not used in forward"),
    "dropout-in-eval": (dropout_stays_on, r"nn\.Dropout, or F\.dropout\(.*training="),
}


def names(trial: Trial, epochs: int = 1) -> list[str]:
    with contextlib.suppress(TrainingError):  # of wrong labels
        trial.run(epochs)
    return [finding.name for finding in trial.findings]


def test_every_check_has_a_case() -> None:
    assert set(MISTAKES) == set(CHECKS)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_once_and_in_one_line(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, remedy = MISTAKES[name]
    trial = make([])
    assert names(trial, 2) == [name]
    (line,) = caplog.messages
    assert line == str(trial.findings[0]) == f"[{name}] {trial.findings[0].message}"
    assert "\n" not in line
    assert re.search(remedy, line), line


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_silenced_by_its_name(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert names(MISTAKES[name][0]([name]), 2) == []
    assert caplog.messages == []


def test_a_single_name_may_come_without_a_list() -> None:
    assert toys.trial(silence="softmax").lint.silence == ("softmax",)


def test_a_name_that_cannot_be_silenced() -> None:
    with pytest.raises(TrainingError, match="silence 'sofmax'; did you mean 'softmax'"):
        toys.trial(silence=["sofmax"])


def test_a_trial_without_a_mistake(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    model.extend([nn.Dropout(0.3), nn.Linear(64, 3)])
    trial = toys.trial(model).with_generators(
        toys.loader(64, shuffle=True), toys.loader(32, 1), toys.loader(32, 2)
    )
    trial.run(3)
    trial.evaluate()
    trial.evaluate(data_key="test")
    trial.run(1)
    assert trial.findings == []
    assert caplog.messages == []


def test_a_trial_on_mnist_has_no_mistake(mnist: ImageData) -> None:
    data = mnist.hold_out(0.2)
    classifier = Classifier.new("quick-cnn", data)
    trial = Trial(classifier, metrics=["acc"], verbose=0).with_images(data)
    trial.for_steps(3, 1, 1).run(2)
    trial.evaluate(data_key="test")
    assert trial.findings == []


# Data that is the training data, and data that is not.


def test_images_that_are_in_two_splits(tiny_digits: ImageData) -> None:
    train = tiny_digits["train"]
    some = np.array([3, 77, 200])
    test = Split(
        np.concatenate([tiny_digits["test"].images, train.images[some]]),
        np.concatenate([tiny_digits["test"].labels, train.labels[some]]),
    )
    data = ImageData(
        {"train": train, "test": test},
        tiny_digits.class_names,
        preprocessing=tiny_digits.preprocessing,
    )
    trial = Trial(Classifier.new("quick-cnn", data), verbose=0).with_images(data).for_steps(1)
    trial.run(1)
    (finding,) = trial.findings
    assert finding.name == "same-data"
    assert finding.message.startswith("3 of the 259 test images are training images too")


@pytest.mark.parametrize("ready", [False, True])
def test_a_rare_class_is_no_sorted_data(ready: bool, tiny_digits: ImageData) -> None:
    labels = torch.zeros(256, dtype=torch.int64)
    labels[255] = 1
    if ready:
        split = Split(tiny_digits["train"].images[:256], labels.numpy())
        data = ImageData({"train": split}, ["a", "b"], preprocessing=tiny_digits.preprocessing)
        trial = Trial(Classifier.new("quick-cnn", data), verbose=0, seed=1).with_images(data, 8)
    else:
        trial = toys.trial(seed=1)
        trial.with_train_data(torch.rand(256, 1, 6, 6), labels, 8, shuffle=True)
    assert "one-class" in names(trial)
    (message,) = (found.message for found in trial.findings if found.name == "one-class")
    assert "though they are shuffled" in message
    assert "sorted" not in message


def dataset(seed: int = 0) -> TensorDataset:
    return TensorDataset(*toys.examples(40, seed))


def batches(seed: int = 0) -> list[tuple[Tensor, ...]]:
    return [tuple(batch) for batch in toys.loader(40, seed)]


# The order of training batches.


@pytest.mark.parametrize("kind", ["list", "stream"])
def test_the_same_order_in_two_epochs(kind: str) -> None:
    source = batches() if kind == "list" else toys.Endless(batches())  # type: ignore[arg-type]
    trial = toys.trial().with_generators(source)
    trial.run(1)
    assert trial.findings == []
    trial.run(1)
    assert [finding.name for finding in trial.findings] == ["unshuffled"]
    assert "second epoch" in trial.findings[0].message


def test_orders_that_are_shuffled_in_other_ways(tiny_digits: ImageData) -> None:
    data = dataset()
    for loader in (
        DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 8, drop_last=True)),
        DataLoader(data, 8, sampler=SubsetRandomSampler(range(40))),
        DataLoader(data, 40),  # all at once have no order
        [batches()[0]],  # learning one batch by heart
    ):
        trial = toys.trial().with_generators(loader)
        trial.run(2)
        assert trial.findings == [], loader
    ordered = BatchSampler(SequentialSampler(data), 8, drop_last=True)
    trial = toys.trial().with_generators(DataLoader(data, batch_sampler=ordered))
    assert names(trial) == ["unshuffled"]
    in_order = toys.trial(Classifier.new("quick-cnn", tiny_digits).network)
    in_order.with_generators(tiny_digits.batches("train", 256, shuffle=False))
    assert names(in_order) == ["unshuffled"]


# Losses.


def test_the_function_is_as_good_as_the_module() -> None:
    model = nn.Sequential(toys.network(), nn.Softmax(dim=1))
    optimizer = torch.optim.Adam(model.parameters())
    trial = Trial(model, optimizer, functional.cross_entropy, verbose=0)
    assert names(trial.with_generators(toys.loader(40, shuffle=True))) == ["softmax"]


class LeavesOut(nn.CrossEntropyLoss):
    """Takes 255 for no label, as maps of classes do."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return super().forward(logits, torch.where(targets == 255, -100, targets))


def test_a_criterion_with_its_own_way_with_labels() -> None:
    images, labels = toys.examples(40)
    model = toys.network()
    trial = Trial(model, torch.optim.Adam(model.parameters()), LeavesOut(), verbose=0)
    trial.with_train_data(images, torch.where(labels == 0, 255, labels), 8)
    trial.run(1)
    assert trial.findings == []
    trial.with_train_data(images, labels + 9, 8)
    with pytest.raises(TrainingError, match=r"labels must be in 0\.\.2 .* received 9\.\.11"):
        trial.run(1)


def test_a_softmax_is_right_for_other_losses() -> None:
    model = nn.Sequential(toys.network(), nn.LogSoftmax(dim=1))
    trial = Trial(model, torch.optim.Adam(model.parameters()), nn.NLLLoss(), verbose=0)
    assert names(trial.with_generators(toys.loader(40, shuffle=True))) == []

    def squared(logits: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(logits.softmax(1), functional.one_hot(targets, 3).float())

    model = nn.Sequential(toys.network(), nn.Softmax(dim=1))
    trial = Trial(model, torch.optim.Adam(model.parameters()), squared, verbose=0)
    assert names(trial.with_generators(toys.loader(40, shuffle=True))) == []


def test_targets_that_are_probabilities_are_no_wrong_labels() -> None:
    images, labels = toys.examples(40)
    trial = toys.trial(metrics=["acc"]).with_train_data(
        images, functional.one_hot(labels, 3).float(), 8
    )
    assert names(trial) == []


@pytest.mark.parametrize("ends", [[nn.Sigmoid()], [nn.Sigmoid(), nn.Flatten(0)]])
@pytest.mark.parametrize(
    "criterion", [nn.BCEWithLogitsLoss(), functional.binary_cross_entropy_with_logits]
)
def test_a_sigmoid_too_many(ends: list[nn.Module], criterion: nn.Module) -> None:
    model = nn.Sequential(toys.network(classes=1), *ends)
    images, labels = toys.examples(40)
    targets = (labels > 0).float()
    targets = targets if len(ends) > 1 else targets[:, None]
    trial = Trial(model, torch.optim.Adam(model.parameters()), criterion, verbose=0)
    assert names(trial.with_train_data(images, targets, 8)) == ["softmax"]
    assert "takes their sigmoid again" in trial.findings[0].message
    before = model[:1]
    trial = Trial(before, torch.optim.Adam(before.parameters()), criterion, verbose=0)
    assert names(trial.with_train_data(images, (labels > 0).float()[:, None], 8)) == []


@pytest.mark.parametrize("ends", [[], [nn.Softmax(dim=1)]])
def test_outputs_that_are_no_logarithms_of_probabilities(ends: list[nn.Module]) -> None:
    model = nn.Sequential(toys.network(), *ends)
    trial = Trial(model, torch.optim.Adam(model.parameters()), nn.NLLLoss(), verbose=0)
    assert names(trial.with_generators(toys.loader(40, shuffle=True))) == ["softmax"]
    assert "end it with nn.LogSoftmax(dim=1)" in trial.findings[0].message


# Targets (B, K).


@pytest.mark.parametrize(
    "metrics", [("binary_acc",), ("acc", "subset_acc"), ("accuracy", "macro_f1"), ("f1_by_label",)]
)
def test_who_asks_for_scores_of_several_labels_knows_of_them(metrics: tuple[str, ...]) -> None:
    assert names(several_labels([], *metrics)) == []


@pytest.mark.parametrize(
    ("criterion", "metric", "form", "message"),
    [
        (nn.BCEWithLogitsLoss(), "top_5_acc", "several", r"'top_5_acc' counts the first alone"),
        (nn.BCEWithLogitsLoss(), "acc", "one", r"0\.67 for a no to all 3: take 'top_1_acc'"),
        (nn.BCEWithLogitsLoss(), "top_1_acc", "one", None),
        (nn.MSELoss(), "acc", "several", r"'acc' counts the first alone: take 'binary_acc'"),
        (nn.MSELoss(), "top_5_acc", "values", r"no classes, and 'top_5_acc' .*: take 'mse'"),
        (nn.MSELoss(), "acc", "values", r"no classes, and 'acc' .* highest at the same place"),
        (nn.MSELoss(), "mse", "values", None),
        (nn.MSELoss(), "acc", "one", None),
        (nn.CrossEntropyLoss(), "loss", "several", r"sum to 1, received sums of 2 to 2: several"),
        (nn.CrossEntropyLoss(), "acc", "shares", None),
    ],
)
def test_targets_that_are_no_classes(
    criterion: nn.Module, metric: str, form: str, message: str | None
) -> None:
    images, labels = toys.examples(40)
    one = functional.one_hot(labels, 3).float()
    values = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    forms = {
        "one": one,
        "several": one + one.roll(1, dims=1),
        "values": values,
        "shares": values.softmax(dim=1),
    }
    model = toys.network()
    trial = Trial(model, torch.optim.Adam(model.parameters()), criterion, [metric], verbose=0)
    trial.with_train_data(images, forms[form], 8)
    assert names(trial) == ([] if message is None else ["targets"])
    if message is not None:
        assert re.search(message, trial.findings[0].message)


def test_targets_are_looked_at_in_an_evaluation_too() -> None:
    trial = several_labels([])
    trial.with_test_data(toys.examples(8)[0], y=torch.ones(8, 3)).evaluate(data_key="test")
    assert [finding.name for finding in trial.findings] == ["targets"]


# Callbacks, and answers to data in no order.


def test_pictures_that_nobody_sees(tmp_path: Path) -> None:
    assert names(shuffled(callbacks=[LiveCurves(tmp_path)])) == []
    trial = shuffled(callbacks=[LiveCurves()])
    assert names(trial) == ["callbacks"]
    assert "give it a folder, LiveCurves('pictures')" in trial.findings[0].message


def test_pictures_in_a_notebook_are_seen(notebook: list[object]) -> None:
    assert names(shuffled(callbacks=[LiveCurves()])) == []


@pytest.mark.parametrize("kind", [SubsetRandomSampler, RandomSampler])
def test_answers_to_data_that_is_shuffled_in_other_ways(kind: type) -> None:
    data = dataset(2)
    for loader in (
        DataLoader(data, 8, sampler=kind(range(40))),
        DataLoader(data, batch_sampler=BatchSampler(kind(range(40)), 8, drop_last=False)),
    ):
        trial = toys.trial().with_generators(test_generator=loader)
        assert trial.predict().shape == (40, 3)
        assert [finding.name for finding in trial.findings] == ["order"]


def test_answers_to_data_in_its_order(tiny_digits: ImageData) -> None:
    trial = toys.trial().with_generators(toys.loader(16), test_generator=batches())
    trial.predict(data_key="train")
    trial.predict()
    assert trial.findings == []
    whole = Trial(Classifier.new("quick-cnn", tiny_digits), verbose=0).with_images(tiny_digits)
    whole.predict(data_key="train")  # in the order of the images, though training shuffles them
    assert whole.findings == []


def test_a_loss_that_rises_a_little_is_no_explosion() -> None:
    model = toys.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    trial = Trial(model, optimizer, nn.CrossEntropyLoss(), verbose=0)
    assert names(trial.with_generators(toys.loader(160, shuffle=True)), 2) == []


# Modes, weights and chance.


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = toys.network()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def test_a_network_that_does_not_leave_training_mode() -> None:
    class Stuck(Wrapped):
        def train(self, mode: bool = True) -> nn.Module:
            self.training = True
            return self

    trial = toys.trial(Stuck()).with_val_generator(toys.loader(8))
    trial.evaluate()
    assert [finding.name for finding in trial.findings] == ["mode"]
    assert "is in training mode while evaluating" in trial.findings[0].message


def test_an_eval_of_ones_own_that_does_nothing() -> None:
    class Stubborn(Wrapped):
        def eval(self) -> Stubborn:
            return self

    trial = shuffled(Stubborn())
    assert names(trial) == ["mode"]
    assert "does its train() or eval() call super()'s" in trial.findings[0].message


def test_a_network_that_was_left_in_evaluation_mode_before_the_run_is_put_right() -> None:
    model = toys.network().eval()
    assert names(shuffled(model), 2) == []
    assert model.training


def test_a_network_that_is_left_in_evaluation_mode_in_the_middle() -> None:
    @on_batch_end
    def look(view: TrialView) -> None:
        assert view.network is not None
        view.network.eval()

    assert names(shuffled(callbacks=[look]), 2) == ["mode"]


def test_weights_that_the_optimizer_does_not_know() -> None:
    model = toys.network()
    optimizer = torch.optim.Adam(model.parameters())
    model[-1] = nn.Linear(16, 3)
    trial = Trial(model, optimizer, nn.CrossEntropyLoss(), verbose=0)
    trial.with_generators(toys.loader(64, shuffle=True)).run(1)
    (finding,) = trial.findings
    assert finding.name == "no-gradient"
    assert finding.message.startswith("4.weight, 4.bias will not change")
    assert "make it from network.parameters()" in finding.message


def test_frozen_weights_are_no_mistake() -> None:
    model = Unused()
    model.spare.requires_grad_(requires_grad=False)
    model.layers[1].requires_grad_(requires_grad=False)
    assert names(shuffled(model)) == []


def test_gradients_are_looked_at_in_short_epochs_too() -> None:
    trial = toys.trial(Unused()).with_generators(toys.loader(16, shuffle=True))
    assert names(trial) == ["no-gradient"]
    assert "in the first 2 batches" in trial.findings[0].message


def test_many_names_are_not_all_listed() -> None:
    model = nn.ModuleDict({str(n): nn.Linear(2, 2) for n in range(4)} | {"net": toys.network()})
    model.forward = lambda images: model["net"](images)  # type: ignore[method-assign]
    trial = shuffled(model)
    trial.run(1)
    assert "0.weight, 0.bias, 1.weight and 5 more got no gradient" in trial.findings[0].message


# What it costs, and where it is said.


def test_looking_takes_two_forward_passes_of_a_few_images() -> None:
    sizes: list[int] = []
    model = toys.network()
    model.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    trial = toys.trial(model).with_generators(toys.loader(320, batch_size=160, shuffle=True))
    trial.run(3)
    assert sizes == [32, 32, *[160] * 6]


def test_inputs_that_are_no_tensor() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = toys.network()

        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return self.layers(inputs["left"] + inputs["right"])

    images, labels = toys.examples(16)
    pairs = [({"left": images, "right": images}, labels)]
    trial = toys.trial(Two()).with_generators(pairs, test_generator=[pairs[0]] * 2)
    assert len(trial.run(2)) == 2
    assert trial.evaluate(data_key="test").keys() == {"test_loss", "test_acc"}


@pytest.mark.parametrize(("variable", "said"), [("RANK", 0), ("LOCAL_RANK", 0), ("OTHER", 1)])
def test_one_process_speaks_for_all(
    variable: str, said: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable, "1")
    looking = lint.Lint()
    looking.say("mode", "something")
    assert len(caplog.messages) == said
    assert len(looking.findings) == 1
