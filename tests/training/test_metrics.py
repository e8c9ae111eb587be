from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
import torchmetrics
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.functional.classification import (
    multilabel_accuracy,
    multilabel_exact_match,
    multilabel_f1_score,
)

from lamplighter import TEST_DATA, Trial
from lamplighter.errors import TrainingError
from lamplighter.training import metrics as module
from lamplighter.training.callbacks import Callback, on_batch_end
from lamplighter.training.metrics import MeanMetric, accuracy, make_metrics, top_k_accuracy
from lamplighter.training.view import TrialView

from . import toys

CLASSES = 12
VIEW = TrialView(epochs=1)


class Answers(nn.Module):
    """Answers with the logits that are written into the images."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) * self.scale


def measured(*metrics: object) -> tuple[dict[str, object], np.ndarray, np.ndarray]:
    """The results of a test pass, with logits (30, 12) and targets (30,) as numpy sees them."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(30, CLASSES, generator=generator)
    targets = torch.randint(0, CLASSES, (30,), generator=generator)
    trial = Trial(Answers(), None, nn.CrossEntropyLoss(), metrics=metrics, verbose=0)
    trial.with_test_data(logits.view(30, 1, 1, CLASSES), batch_size=8, y=targets)  # the last has 6
    return trial.evaluate(data_key=TEST_DATA), logits.double().numpy(), targets.numpy()


def test_accuracies_by_counting() -> None:
    results, logits, targets = measured("acc", "top_5_acc", "top_10_acc")
    ranks = [int((row > row[target]).sum()) for row, target in zip(logits, targets, strict=True)]
    assert results == {
        f"test_{name}": sum(rank < k for rank in ranks) / 30
        for name, k in (("acc", 1), ("top_5_acc", 5), ("top_10_acc", 10))
    }


def test_loss_and_squared_error_by_their_formulas() -> None:
    results, logits, targets = measured("loss", "mse")
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(chances[np.arange(30), targets]).mean()
    squared = ((logits - np.eye(CLASSES)[targets]) ** 2).mean()
    assert results["test_loss"] == pytest.approx(loss, rel=1e-6)
    assert results["test_mse"] == pytest.approx(squared, rel=1e-6)


def ignoring_every_third(count: int) -> tuple[Tensor, Tensor]:
    """Images (count, 1, 6, 6) and labels, of which every third is one that the loss ignores."""
    images, labels = toys.examples(count)
    return images, torch.where(torch.arange(count) % 3 == 0, -100, labels)


@pytest.mark.parametrize("on_device", [False, True])
def test_ignored_labels_count_in_no_metric(
    on_device: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if on_device:  # where counts are tensors, which are not read before the end
        monkeypatch.setattr(module, "counted", lambda targets: (targets != -100).sum())
    images, labels = ignoring_every_third(30)
    labels[:8] = -100  # a whole batch
    counting = labels != -100
    trial = toys.trial(toys.network().eval(), metrics=["loss", "acc", "top_5_acc", "mse"])
    trial.with_val_data(images, labels, batch_size=8)
    alone = toys.trial(trial.network, metrics=["loss", "acc", "top_5_acc", "mse"])
    alone.with_val_data(images[counting], labels[counting], batch_size=30)
    assert trial.evaluate() == pytest.approx(alone.evaluate(), rel=1e-6)


def test_ignored_labels_in_training_values() -> None:
    batches: list[tuple[float, float, int]] = []

    @on_batch_end
    def note(view: TrialView) -> None:
        assert view.logits is not None
        assert view.targets is not None
        known = view.targets != -100
        logits, targets = view.logits[known], view.targets[known]
        loss = nn.functional.cross_entropy(logits, targets, reduction="sum")
        right = (logits.argmax(1) == targets).sum()
        batches.append((loss.item(), right.item(), len(targets)))

    trial = toys.trial(callbacks=[note]).with_train_data(*ignoring_every_third(60), batch_size=8)
    (row,) = trial.run(1)
    loss, right, size = (math.fsum(column) for column in zip(*batches, strict=True))
    assert size == 40
    for prefix in ("", "running_"):
        assert row[f"{prefix}loss"] == pytest.approx(loss / size, rel=1e-6)
        assert row[f"{prefix}acc"] == pytest.approx(right / size)


@pytest.mark.parametrize("index", [2, 255, -1])
def test_another_label_that_the_loss_ignores(index: int) -> None:
    images, labels = toys.examples(30)
    names = ["loss", "acc", "top_5_acc", "mse"]
    results = []
    for ignored in (index, -100):
        network = toys.network()
        criterion = nn.CrossEntropyLoss(ignore_index=ignored)
        trial = Trial(network, None, criterion, metrics=names, verbose=0)
        trial.with_val_data(images, torch.where(labels == 2, ignored, labels), batch_size=8)
        results.append(trial.evaluate())
    assert results[0] == pytest.approx(results[1])


def test_where_every_label_is_ignored() -> None:
    trial = toys.trial(metrics=["loss", "acc"])
    trial.with_val_data(toys.examples(8)[0], torch.full((8,), -100))
    assert all(math.isnan(value) for value in trial.evaluate().values())


def test_a_name_of_five_with_fewer_classes() -> None:
    trial = toys.trial(metrics=["top_5_acc"]).with_val_generator(toys.loader(8))
    assert trial.evaluate() == {"val_top_5_acc": 1.0}


def test_metrics_of_torchmetrics() -> None:
    results, logits, targets = measured(
        MulticlassF1Score(CLASSES),
        ("each", MulticlassAccuracy(CLASSES, average=None)),
        torchmetrics.MetricCollection([MulticlassAccuracy(CLASSES, average="micro")]),
    )
    answers = logits.argmax(axis=1)
    f1 = f1_score(targets, answers, average="macro")
    assert results["test_MulticlassF1Score"] == pytest.approx(f1, rel=1e-6)
    each = [(answers[targets == k] == k).mean() if k in targets else 0 for k in range(CLASSES)]
    assert results["test_each"] == pytest.approx(each, rel=1e-6)
    assert results["test_MulticlassAccuracy"] == pytest.approx((answers == targets).mean())


def test_a_metric_of_torchmetrics_begins_anew_each_epoch() -> None:
    mine = MulticlassAccuracy(3, average="micro")
    trial = toys.trial(metrics=["acc", ("micro", mine)])
    trial.with_generators(toys.loader(32, shuffle=True), toys.loader(20, 1)).run(3)
    for row in trial.history:
        assert row["micro"] == pytest.approx(row["acc"])
        assert row["val_micro"] == pytest.approx(row["val_acc"])
    assert mine.update_count == 0  # the one that was given is left alone


def test_training_values_are_means_over_images_and_running_ones_over_the_last_50_batches() -> None:
    batches: list[tuple[float, float, int]] = []

    @on_batch_end
    def note(view: TrialView) -> None:
        assert view.logits is not None
        assert view.targets is not None
        assert view.loss is not None
        right = (view.logits.argmax(1) == view.targets).sum().item()
        batches.append((view.loss.item() * len(view.targets), right, len(view.targets)))

    trial = toys.trial(callbacks=[note]).with_generators(toys.loader(239, shuffle=True))
    trial.with_train_generator(toys.loader(239, batch_size=4, shuffle=True)).run(2)
    epochs = batches[:60], batches[60:]  # 59 batches of 4 and one of 3
    for row, all_of_it in zip(trial.history, epochs, strict=True):
        for prefix, part in (("", all_of_it), ("running_", all_of_it[-50:])):
            loss, right, size = (math.fsum(column) for column in zip(*part, strict=True))
            assert row[f"{prefix}loss"] == pytest.approx(loss / size, rel=1e-6)
            assert row[f"{prefix}acc"] == pytest.approx(right / size, rel=1e-12)
    assert trial.history[0]["loss"] != trial.history[0]["running_loss"]


def test_the_learning_rate() -> None:
    model = toys.network()
    one = toys.trial(model, metrics=["lr"]).with_generators(toys.loader(16, shuffle=True))
    assert one.run(1)[0]["lr"] == 0.01
    groups = [{"params": [p], "lr": 0.1 * n} for n, p in enumerate(model.parameters(), start=1)]
    several = Trial(
        model, torch.optim.SGD(groups), nn.CrossEntropyLoss(), metrics=["lr"], verbose=0
    ).with_generators(toys.loader(16, shuffle=True), toys.loader(8, 1))
    assert several.run(1)[0]["lr"] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert "val_lr" not in several.history[0]


@pytest.mark.parametrize("name", ["epoch time", "epoch_time"])
def test_the_time_of_an_epoch(name: str) -> None:
    class Slow(Callback):
        def on_batch_end(self, view: TrialView) -> None:
            time.sleep(0.02)

    trial = toys.trial(metrics=[name], callbacks=[Slow()])
    start = time.perf_counter()
    trial.with_generators(toys.loader(40, shuffle=True), toys.loader(8, 1)).run(1)
    assert 0.1 <= trial.history[0]["epoch_time"] <= time.perf_counter() - start
    assert 0 <= trial.history[0]["val_epoch_time"] <= trial.history[0]["epoch_time"]


def test_targets_that_are_probabilities() -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    targets = torch.tensor([[0.3, 0.7], [0.4, 0.6]])
    (metric,) = make_metrics(["acc"], VIEW)
    metric.update(logits, targets, None)
    assert metric.compute(training=False) == {"acc": 0.5}


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("precision", r"'precision'\."),
        ("accurcy", r"'accurcy'; did you mean 'accuracy'\?"),
        ("Top_5_acc", "did you mean 'top_5_acc'"),
        ("f1", "did you mean 'macro_f1'"),
        (3, r"received 3\."),
        (("name", 3), r"received \('name', 3\)\."),
        (("a", "b", "c"), "received"),
        (MulticlassAccuracy, r"call it: MulticlassAccuracy\(\.\.\.\)\."),
        (None, r"received None\."),
    ],
)
def test_what_is_no_metric_is_refused_as_the_trial_is_made(wrong: object, hint: str) -> None:
    with pytest.raises(TrainingError, match=rf"'acc', 'accuracy'.*{hint}"):
        toys.trial(metrics=[wrong])
    with pytest.raises(TrainingError, match=r"'acc', 'accuracy'.*received"):
        make_metrics([wrong], VIEW)


@pytest.mark.parametrize(
    ("alone", "name"),
    [
        ("acc", "acc"),
        (MulticlassAccuracy(3), "MulticlassAccuracy"),
        (torchmetrics.MetricCollection({"micro": MulticlassAccuracy(3)}), "micro"),
    ],
)
def test_a_single_metric_may_come_without_a_list(alone: object, name: str) -> None:
    trial = toys.trial(metrics=alone).with_val_generator(toys.loader(8))
    assert trial.evaluate().keys() == {f"val_{name}"}


def test_before_the_first_batch() -> None:
    (metric,) = make_metrics(["acc"], VIEW)
    assert isinstance(metric, MeanMetric)
    assert math.isnan(metric.running())
    assert metric.compute(training=True) == {}


def test_accuracy_wants_an_output_for_each_class() -> None:
    for logits in (torch.zeros(4, 1), torch.zeros(4)):
        with pytest.raises(TrainingError, match=r"'acc' needs .* take 'binary_acc'"):
            accuracy(logits, torch.zeros(4), None)
        with pytest.raises(TrainingError, match="'top_5_acc' needs one output for each class"):
            top_k_accuracy(5)(logits, torch.zeros(4), None)


def test_a_column_of_indices_is_no_probability() -> None:
    # Its highest entry is always the first one, which would be taken for class 0.
    with pytest.raises(TrainingError, match=r"'acc' needs .*\(4, 1\).*give targets\.squeeze\(1\)"):
        accuracy(torch.rand(4, 3), torch.tensor([[0], [1], [2], [0]]), None)


# Several labels of an image.


def labelled(count: int = 40, labels: int = 5) -> tuple[Tensor, Tensor]:
    """Logits (count, labels) and targets of 0 and 1, of which the last label never holds."""
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(count, labels, generator=generator)
    targets = (logits + torch.randn(count, labels, generator=generator) > 0.3).float()
    targets[:, -1] = 0
    return logits, targets


def of_labels(
    criterion: object, logits: Tensor, targets: Tensor, *metrics: str
) -> tuple[dict[str, object], Trial]:
    trial = Trial(Answers(), None, criterion, metrics=metrics, verbose=0)  # type: ignore[arg-type]
    trial.with_test_data(logits.flatten(1)[:, None, None], batch_size=8, y=targets)
    return trial.evaluate(data_key=TEST_DATA), trial


NAMES = ("acc", "binary_acc", "subset_acc", "macro_f1", "f1_by_label")


@pytest.mark.parametrize("criterion", [nn.BCEWithLogitsLoss(), nn.BCELoss(), nn.L1Loss()])
def test_scores_of_several_labels_are_those_of_scikit_learn(criterion: nn.Module) -> None:
    logits, targets = labelled()
    outputs = logits if isinstance(criterion, nn.BCEWithLogitsLoss) else logits.sigmoid()
    names = NAMES if not isinstance(criterion, nn.L1Loss) else NAMES[1:]
    results, trial = of_labels(criterion, outputs, targets, *names)
    assert trial.findings == []
    said, true = (logits > 0).numpy(), targets.bool().numpy()
    single = accuracy_score(true.ravel(), said.ravel())
    assert results["test_binary_acc"] == pytest.approx(single)
    assert results.get("test_acc", single) == pytest.approx(single)
    assert results["test_subset_acc"] == pytest.approx(accuracy_score(true, said))
    each = f1_score(true, said, average=None, zero_division=0)
    assert results["test_f1_by_label"] == pytest.approx(each)
    # Of a label that holds for no image nobody knows how well it is found.
    macro = f1_score(true, said, labels=[0, 1, 2, 3], average="macro")
    assert results["test_macro_f1"] == pytest.approx(macro)


def test_scores_of_several_labels_are_those_of_torchmetrics() -> None:
    logits, targets = labelled()
    results, _ = of_labels(nn.BCEWithLogitsLoss(), logits, targets, *NAMES)
    whole = targets.long()
    assert results["test_acc"] == pytest.approx(
        multilabel_accuracy(logits, whole, 5, average="micro").item()
    )
    assert results["test_subset_acc"] == pytest.approx(
        multilabel_exact_match(logits, whole, 5).item()
    )
    assert results["test_f1_by_label"] == pytest.approx(
        multilabel_f1_score(logits, whole, 5, average="none").tolist()
    )


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_scores_of_one_yes_or_no(shape: tuple[int, ...]) -> None:
    logits, targets = (values[:, 0].reshape(shape) for values in labelled())
    network = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1,)) if len(shape) == 2 else Squeezed())
    trial = Trial(network, None, nn.BCEWithLogitsLoss(), metrics=NAMES[:4], verbose=0)
    trial.with_test_data(logits.view(-1, 1), batch_size=8, y=targets)
    results = trial.evaluate(data_key=TEST_DATA)
    said, true = (logits > 0).flatten().numpy(), targets.flatten().numpy()
    for name in NAMES[:3]:
        assert results[f"test_{name}"] == pytest.approx(accuracy_score(true, said))
    assert results["test_macro_f1"] == pytest.approx(f1_score(true, said))
    assert trial.findings == []


class Squeezed(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.squeeze(1)


def test_a_loss_of_ones_own_tells_by_its_first_batch_what_its_outputs_are() -> None:
    def focal(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(outputs, targets)

    logits, targets = labelled()
    for outputs, bound in ((logits, 0.0), (logits.sigmoid(), 0.5)):
        results, _ = of_labels(focal, outputs, targets, "subset_acc")
        expected = accuracy_score(targets.numpy(), (outputs > bound).numpy())
        assert results["test_subset_acc"] == pytest.approx(expected)


def test_f1_of_classes_is_that_of_scikit_learn() -> None:
    results, logits, targets = measured("macro_f1", "f1_by_label", "acc", "top_1_acc")
    answers, present = logits.argmax(axis=1), np.unique(targets)
    macro = f1_score(targets, answers, labels=present, average="macro")
    assert results["test_macro_f1"] == pytest.approx(macro)
    each = f1_score(targets, answers, labels=range(CLASSES), average=None, zero_division=np.nan)
    assert results["test_f1_by_label"] == pytest.approx(each, nan_ok=True)
    assert results["test_top_1_acc"] == results["test_acc"]


def test_f1_leaves_out_ignored_labels() -> None:
    images, labels = ignoring_every_third(30)
    trial = toys.trial(metrics=["macro_f1", "f1_by_label"])
    trial.with_val_data(images, labels, batch_size=8)
    alone = toys.trial(trial.network, metrics=["macro_f1", "f1_by_label"])
    alone.with_val_data(images[labels != -100], labels[labels != -100], batch_size=30)
    ours, theirs = trial.evaluate(), alone.evaluate()
    assert ours["val_macro_f1"] == theirs["val_macro_f1"]
    assert ours["val_f1_by_label"] == theirs["val_f1_by_label"]


def test_f1_of_targets_that_mixup_has_made_probabilities() -> None:
    logits, _ = labelled()
    shares = torch.rand(40, 5, generator=torch.Generator().manual_seed(6)).softmax(dim=1)
    results, _ = of_labels(nn.CrossEntropyLoss(), logits, shares, "macro_f1")
    true, said = shares.argmax(1).numpy(), logits.argmax(1).numpy()
    expected = f1_score(true, said, labels=np.unique(true), average="macro")
    assert results["test_macro_f1"] == pytest.approx(expected)


def test_training_values_of_several_labels() -> None:
    logits, targets = labelled()
    network = nn.Sequential(nn.Flatten(), nn.Linear(5, 5))
    trial = Trial(
        network,
        torch.optim.SGD(network.parameters(), 0.5),
        nn.BCEWithLogitsLoss(),
        metrics=["acc", "subset_acc", "macro_f1"],
        verbose=0,
    )
    trial.with_train_data(logits, targets, batch_size=8).with_val_data(logits + 9, targets)
    history = trial.run(20)
    assert history[0].keys() >= {"running_acc", "running_subset_acc", "macro_f1", "val_macro_f1"}
    for name in ("acc", "subset_acc", "macro_f1"):
        assert history[-1][name] > history[0][name]
    assert trial.findings == []


@pytest.mark.parametrize("name", ["binary_acc", "subset_acc", "macro_f1"])
def test_labels_that_are_not_one_for_each_output(name: str) -> None:
    def own(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.mean()

    targets = torch.zeros(40, dtype=torch.long) if name != "macro_f1" else torch.zeros(40, 2)
    with pytest.raises(TrainingError, match=rf"'{name}' needs a target, 0 or 1.*take 'acc'"):
        of_labels(own, labelled()[0], targets, name)
