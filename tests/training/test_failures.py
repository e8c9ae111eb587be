"""What cannot go on stops at once, and says why in one line."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from lamplighter import Classifier, Trial, train
from lamplighter.errors import (
    ClassCountError,
    NonFiniteLossError,
    ShapeError,
    TrainingError,
)
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.cnn import SimpleCNN
from lamplighter.training.callbacks import Checkpoint, on_batch_start

from . import toys

if TYPE_CHECKING:
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.training.view import TrialView

GREY = Preprocessing(height=6, width=6, channels=1, mean=(0.5,), std=(0.5,))


class Breaks(nn.Module):
    """A loss that is `value` at one of its calls in training, counted from 1."""

    def __init__(self, call: int, value: float) -> None:
        super().__init__()
        self.left, self.value = call, value

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        self.left -= 1
        loss = nn.functional.cross_entropy(logits, targets)
        return loss * (self.value if self.left == 0 else 1.0)


@pytest.mark.parametrize(
    ("call", "value", "where"),
    [
        (1, float("nan"), r"became nan at step 1 \(epoch 1, batch 1\)"),
        (5, float("nan"), r"became nan at step 5 \(epoch 1, batch 5\)"),
        (8, float("inf"), r"became inf at step 8 \(epoch 2, batch 3\)"),
    ],
)
def test_a_loss_that_is_no_number(call: int, value: float, where: str) -> None:
    model = toys.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    trial = Trial(model, optimizer, Breaks(call, value), verbose=0)
    trial.with_generators(toys.loader(40, shuffle=True))
    with pytest.raises(NonFiniteLossError, match=where) as caught:
        trial.run(3)
    assert "learning rate below 0.125" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(trial.history) == (call - 1) // 5
    assert all(torch.isfinite(p).all() for p in model.parameters())  # it stopped before the step


def test_steps_count_on_in_a_second_run() -> None:
    model = toys.network()
    trial = Trial(model, torch.optim.SGD(model.parameters(), lr=0.1), Breaks(8, float("nan")))
    trial.verbose = 0
    trial.with_generators(toys.loader(40, shuffle=True)).run(1)
    with pytest.raises(NonFiniteLossError, match=r"step 8 \(epoch 2, batch 3\)"):
        trial.run(1)


def test_data_that_is_no_number() -> None:
    images, labels = toys.examples(40)
    images[27, 0, 2, 3] = torch.nan
    trial = toys.trial().with_train_data(images, labels, 8, shuffle=False)
    with pytest.raises(NonFiniteLossError, match=r"step 4 .*batch 4\): the images .* hold NaN"):
        trial.run(1)


def test_held_out_data_that_is_no_number() -> None:
    images, labels = toys.examples(40)
    images[27, 0, 2, 3] = torch.nan
    trial = toys.trial().with_generators(toys.loader(16, shuffle=True))
    trial.with_val_data(images, labels, 8)
    for ask in (trial.run, trial.evaluate):
        with pytest.raises(NonFiniteLossError, match=r"batch 4 of the held-out.*images hold NaN"):
            ask()


def test_weights_that_are_no_numbers() -> None:
    model = toys.network()
    with torch.no_grad():
        model[1].weight[0, 0] = torch.nan
    trial = toys.trial(model).with_generators(toys.loader(16, shuffle=True), toys.loader(16, 1))
    for ask in (trial.run, trial.evaluate):
        with pytest.raises(NonFiniteLossError, match="the weights hold NaN"):
            ask()


def test_a_held_out_loss_that_is_no_number_by_itself_is_told_as_it_is() -> None:
    model = toys.network()
    trial = Trial(model, torch.optim.SGD(model.parameters()), Breaks(1, float("inf")), ["loss"])
    results = trial.with_val_generator(toys.loader(16)).evaluate(verbose=0)
    assert results == {"val_loss": float("inf")}


def test_labels_without_an_output() -> None:
    images, labels = toys.examples(80)
    for place in (0, 70):  # in the first batch, and in one that nobody looks at
        for wrong, received in (
            (3, r"\d\.\.3.*or give the network 4 outputs"),
            (-1, r"-1\.\.2: .*left out"),
        ):
            changed = labels.clone()
            changed[place] = wrong
            trial = toys.trial().with_train_data(images, changed, 8, shuffle=False)
            with pytest.raises(TrainingError, match=rf"0\.\.2 for .* 3 outputs, .*{received}"):
                trial.run(1)
    held_out = toys.trial().with_val_data(images, labels + 1, 80)
    with pytest.raises(TrainingError, match=r"received 1\.\.3"):
        held_out.evaluate()


def test_labels_that_the_loss_ignores_are_welcome() -> None:
    images, labels = toys.examples(40)
    labels[3] = -100
    trial = toys.trial(metrics=["loss"]).with_train_data(images, labels, 8)
    assert len(trial.run(1)) == 1
    assert trial.findings == []


def test_a_classifier_whose_network_has_other_outputs() -> None:
    for outputs in (2, 5):
        classifier = Classifier(toys.network(classes=outputs), GREY, ["a", "b", "c"])
        trial = Trial(classifier, verbose=0).with_generators(toys.loader(16, shuffle=True))
        with pytest.raises(ClassCountError, match=rf"3 classes.*\(8, {outputs}\)"):
            trial.run(1)


def test_images_of_another_shape() -> None:
    classifier = Classifier(toys.network(), GREY, ["a", "b", "c"])
    larger = [(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 0]))]
    trial = Trial(classifier, metrics=["acc"], verbose=0).with_generators(larger, larger, larger)
    for ask in (trial.run, trial.evaluate, trial.predict):
        with pytest.raises(ShapeError, match=r"expected \(B, 1, 6, 6\), received \(4, 1, 8, 8\)"):
            ask()


@pytest.mark.parametrize("shape", [(4, 1, 20, 20), (4, 3, 28, 28), (4, 1, 3, 3), (4, 28, 28, 1)])
@pytest.mark.parametrize("silence", [[], ["dropout-in-eval"]])
def test_a_bare_network_and_images_of_another_shape(
    shape: tuple[int, ...], silence: list[str]
) -> None:
    model = SimpleCNN()
    batches = [(torch.rand(shape), torch.tensor([0, 1, 2, 0]))]
    with pytest.raises(ShapeError, match=rf"received \({', '.join(map(str, shape))}\)") as caught:
        toys.trial(model, silence=silence).with_generators(batches).run(1)
    assert "\n" not in str(caught.value)


def test_other_errors_of_a_network_are_left_as_they_are() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("of its own making")

    with pytest.raises(RuntimeError, match="of its own making"):
        toys.trial(Broken()).with_generators(toys.loader(8)).run(1)


def test_batches_that_are_no_pairs() -> None:
    images, labels = toys.examples(8)
    for wrong, received in (
        (images, "Tensor"),
        ((images, labels, labels), "tuple of 3"),
        ({"x": images}, "dict"),
    ):
        with pytest.raises(TrainingError, match=f"pair of inputs and targets, received {received}"):
            toys.trial().with_generators([wrong]).run(1)


def test_ctrl_c_is_given_back(tmp_path: Path) -> None:
    @on_batch_start
    def press(view: TrialView) -> None:
        if (view.epoch, view.batch) == (1, 2):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    trial = toys.trial(seed=1, callbacks=[press, Checkpoint(tmp_path)])
    trial.with_generators(toys.loader(40, shuffle=True))
    with pytest.raises(KeyboardInterrupt):
        trial.run(3)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(trial.history) == 1

    left_alone = toys.trial(seed=1).with_generators(toys.loader(40, shuffle=True))
    left_alone.run(3)
    again = toys.trial(seed=1, callbacks=[Checkpoint(tmp_path)])
    again.with_generators(toys.loader(40, shuffle=True)).run(3, checkpoint=tmp_path / "last.ckpt")
    assert toys.same_weights(left_alone.network, again.network)


def test_an_exit_of_ones_own_stays_one() -> None:
    @on_batch_start
    def leave(view: TrialView) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit, match="3"):
        toys.trial(callbacks=[leave]).with_generators(toys.loader(8)).run(1)


# Outputs and losses of other shapes.


class WithHelper(nn.Module):
    """Two outputs in training, as networks with auxiliary classifiers have; one in evaluation."""

    def __init__(self, *, always: bool = False) -> None:
        super().__init__()
        self.layers, self.helper = toys.network(dropout=0), toys.network(1, dropout=0)
        self.always = always

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        several = self.training or self.always
        return (self.layers(images), self.helper(images)) if several else self.layers(images)


def both(outputs: tuple[Tensor, Tensor] | Tensor, targets: Tensor) -> Tensor:
    several = outputs if isinstance(outputs, tuple) else (outputs,)
    return sum(nn.functional.cross_entropy(each, targets) for each in several)  # type: ignore[return-value]


def test_a_network_of_several_outputs_trains_as_in_a_plain_loop() -> None:
    batches = list(toys.loader(24))
    plain, model = WithHelper(), WithHelper()  # without chance
    trial = Trial(model, torch.optim.SGD(model.parameters(), 0.1), both, ["loss"], verbose=0)
    trial.with_generators(batches, batches)
    trial.run(1)
    optimizer = torch.optim.SGD(plain.parameters(), 0.1)
    plain.train()
    for images, targets in batches:
        optimizer.zero_grad()
        both(plain(images), targets).backward()
        optimizer.step()
    torch.testing.assert_close(dict(model.state_dict()), dict(plain.state_dict()))
    assert trial.history[0].keys() >= {"loss", "val_loss"}
    plain.eval()
    torch.testing.assert_close(
        trial.predict(data_key="val"), torch.cat([plain(images) for images, _ in batches])
    )


def test_several_outputs_where_one_is_needed() -> None:
    model = WithHelper(always=True)
    batches = list(toys.loader(8))
    trial = toys.trial(model, metrics=[]).with_generators(batches, batches)
    with pytest.raises(TrainingError, match=r"one output for each class.*received a tuple"):
        trial.run(1)
    with pytest.raises(TrainingError, match=r"must answer with one tensor.*received a tuple"):
        trial.predict(data_key="val")


def test_one_output_where_one_for_each_class_is_needed() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 1), nn.Flatten(0))
    trial = toys.trial(model, metrics=[]).with_generators(toys.loader(16, shuffle=True))
    with pytest.raises(TrainingError, match=r"\(B, K\), received outputs of shape \(8,\)"):
        trial.run(1)


@pytest.mark.parametrize(
    ("criterion", "received"),
    [
        (nn.CrossEntropyLoss(reduction="none"), r"a Tensor of shape \(8,\)"),
        (lambda logits, targets: 1.0, "a float;"),
    ],
)
def test_a_loss_that_is_not_one_number(criterion, received: str) -> None:
    model = toys.network()
    trial = Trial(model, torch.optim.Adam(model.parameters()), criterion, verbose=0)
    trial.with_generators(toys.loader(16, shuffle=True))
    with pytest.raises(TrainingError, match=f"must return one number.*{received}"):
        trial.run(1)


def test_an_argument_that_lightning_does_not_know() -> None:
    trial = toys.trial().with_generators(toys.loader(16, shuffle=True)).with_trainer(turbo=True)
    with pytest.raises(TrainingError, match=r"turbo.*with_trainer\(\.\.\.\)"):
        trial.run(1)


def test_one_image_alone_cannot_be_normalised() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.BatchNorm1d(3))
    trial = toys.trial(model).with_train_data(*toys.examples(9), 8, shuffle=True)
    with pytest.raises(ShapeError, match=r"more than one image.*\(1, 1, 6, 6\).*drop_last=True"):
        trial.run(1)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range(seed: int, tiny_digits: ImageData) -> None:
    with pytest.raises(TrainingError, match=rf"in 0\.\.4294967295, received {seed}"):
        toys.trial(seed=seed)
    with pytest.raises(TrainingError, match=rf"in 0\.\.4294967295, received {seed}"):
        train(tiny_digits, seed=seed)


def test_a_batch_of_which_all_labels_are_ignored() -> None:
    images, labels = toys.examples(16)
    labels[8:] = -100
    trial = toys.trial().with_generators([(images[:8], labels[:8]), (images[8:], labels[8:])])
    with pytest.raises(NonFiniteLossError, match=r"batch 2\): the loss ignores all labels"):
        trial.run(1)


def test_the_accuracy_of_several_outputs() -> None:
    model = WithHelper()
    trial = Trial(model, torch.optim.Adam(model.parameters()), both, "acc", verbose=0)
    with pytest.raises(TrainingError, match=r"'acc' needs one tensor.*received a tuple"):
        trial.with_generators(toys.loader(8, shuffle=True)).run(1)
