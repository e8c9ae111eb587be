"""Inputs and targets in a form that the loss does not take: one line with a remedy that works."""

from __future__ import annotations

import copy
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lamplighter import Trial
from lamplighter.errors import TrainingError

from . import toys

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES, LABELS = toys.examples(32)
ONE_HOT = functional.one_hot(LABELS, 3)
BITS = torch.randint(0, 2, (32, 3), generator=torch.Generator().manual_seed(0))
VALUES = torch.rand(32, generator=torch.Generator().manual_seed(1))
YES = LABELS > 0
CE, BCE, MSE = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss(), nn.MSELoss()


def answering(outputs: int, *ends: nn.Module) -> nn.Sequential:
    """A network of so many outputs; of none for (B,) in place of (B, 1)."""
    network = nn.Sequential(toys.network(classes=max(outputs, 1)), *ends)
    return network if outputs else network.append(nn.Flatten(0))


def trial_of(
    criterion: Any, targets: Any, network: nn.Module, inputs: Tensor = IMAGES, **arguments: Any
) -> Trial:
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    values = {"metrics": ["loss"], "verbose": 0} | arguments
    trial = Trial(network, optimizer, criterion, **values)
    batches = list(zip(inputs.split(8), targets.split(8), strict=True))
    return trial.with_generators(batches, test_generator=batches[:2])


# Each: the loss, outputs of the network, wrong targets, what is said, and these targets mended.
Case = tuple[Any, int, Tensor, str, "Callable[[Tensor], Tensor]"]
CASES: dict[str, Case] = {
    "int32": (CE, 3, LABELS.int(), r"int64.*received targets of int32.*give targets\.long\(\)",
              lambda t: t.long()),
    "uint16": (CE, 3, LABELS.to(torch.uint16), r"of uint16.*give targets\.long\(\)",
               lambda t: t.long()),
    "bool": (CE, 3, YES, r"of bool and shape \(8,\).*give targets\.long\(\)", lambda t: t.long()),
    "double": (CE, 3, LABELS.double(), r"of float64.*give targets\.long\(\)", lambda t: t.long()),
    "(N, 1)": (CE, 3, LABELS[:, None], r"int64 and shape \(8, 1\).*give targets\.squeeze\(1\)\.",
               lambda t: t.squeeze(1)),
    "(N, 1) of floats": (CE, 3, LABELS[:, None].float(), r"give targets\.squeeze\(1\)\.long\(\)",
                         lambda t: t.squeeze(1).long()),
    "one-hot": (CE, 3, ONE_HOT, r"or probabilities .* as floats.*give targets\.argmax\(dim=1\)",
                lambda t: t.argmax(dim=1)),
    "one-hot of bool": (CE, 3, ONE_HOT.bool(), r"of bool.*or targets\.float\(\)",
                        lambda t: t.float()),
    "one-hot for NLL": (nn.NLLLoss(), 3, ONE_HOT.float(), r"give targets\.argmax\(dim=1\)\.$",
                        lambda t: t.argmax(dim=1)),
    "int32 for a function": (functional.cross_entropy, 3, LABELS.int(), r"^cross_entropy takes",
                             lambda t: t.long()),
    "yes or no of int64": (BCE, 3, BITS, r"float32, received targets of int64.*targets\.float\(\)",
                           lambda t: t.float()),
    "yes or no of bool": (BCE, 3, BITS.bool(), r"of bool.*targets\.float\(\)",
                          lambda t: t.float()),
    "yes or no (N,)": (BCE, 1, YES.float(), r"\(8,\) for outputs of shape \(8, 1\).*unsqueeze\(1\)",
                       lambda t: t.unsqueeze(1)),
    "yes or no (N,) of bool": (BCE, 1, YES, r"give targets\.unsqueeze\(1\)\.float\(\)",
                               lambda t: t.unsqueeze(1).float()),
    "yes or no (N, 1)": (BCE, 0, YES.float()[:, None], r"give targets\.squeeze\(1\)\.",
                         lambda t: t.squeeze(1)),
    "indices for yes or no": (BCE, 3, LABELS, r"take nn\.CrossEntropyLoss, or give a 0 or 1",
                              lambda t: functional.one_hot(t, 3).float()),
    "probabilities of double": (nn.BCELoss(), 3, BITS.double(), r"give targets\.to\(torch\.float32",
                                lambda t: t.to(torch.float32)),
    "out of range": (BCE, 0, LABELS.float(), r"targets in 0\.\.1, received 0\.\.2: give a 0 or 1",
                     lambda t: (t > 0).float()),
    "values (N,)": (MSE, 1, VALUES, r"same shape, received .* give targets\.unsqueeze\(1\)\.",
                    lambda t: t.unsqueeze(1)),
    "values (N, 1)": (MSE, 0, VALUES[:, None], r"give targets\.squeeze\(1\)\.",
                      lambda t: t.squeeze(1)),
    "values for a function": (functional.l1_loss, 1, VALUES, r"^l1_loss takes a target for each",
                              lambda t: t.unsqueeze(1)),
    "huber": (nn.HuberLoss(), 1, VALUES, r"^HuberLoss", lambda t: t.unsqueeze(1)),
    "smooth": (nn.SmoothL1Loss(), 1, VALUES, r"^SmoothL1Loss", lambda t: t.unsqueeze(1)),
    "values for three outputs": (MSE, 3, VALUES, r"one output, or the targets a column for each",
                                 lambda t: t.unsqueeze(1).expand(-1, 3)),
    "indices for values": (MSE, 3, LABELS, r"take nn\.CrossEntropyLoss, or give a 0 or 1",
                           lambda t: functional.one_hot(t, 3).float()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("error")
def test_targets_in_another_form_are_refused_with_a_remedy_that_works(name: str) -> None:
    criterion, outputs, targets, message, mend = CASES[name]
    ends: list[nn.Module] = []
    if isinstance(criterion, nn.NLLLoss):
        ends = [nn.LogSoftmax(dim=1)]
    elif isinstance(criterion, nn.BCELoss):
        ends = [nn.Sigmoid()]
    network = answering(outputs, *ends)
    before = copy.deepcopy(network)
    with pytest.raises(TrainingError, match=message) as caught:
        trial_of(criterion, targets, network).run(1)
    assert "\n" not in str(caught.value)
    assert toys.same_weights(network, before)  # it was told before the first step
    mended = trial_of(criterion, mend(targets), network)
    assert len(mended.run(1)) == 1
    assert not toys.same_weights(network, before)


@pytest.mark.parametrize("name", ["(N, 1)", "yes or no of int64", "values (N,)", "out of range"])
def test_held_out_targets_in_another_form(name: str) -> None:
    criterion, outputs, targets, message, _ = CASES[name]
    with pytest.raises(TrainingError, match=message):
        trial_of(criterion, targets, answering(outputs)).evaluate(data_key="test")


@pytest.mark.parametrize(
    ("criterion", "outputs", "targets"),
    [
        (CE, 3, LABELS.to(torch.uint8)),
        (CE, 3, ONE_HOT.double()),
        (BCE, 3, BITS.double()),
        (nn.MultiLabelSoftMarginLoss(), 3, BITS),
        (MSE, 1, VALUES.double()[:, None]),
        (MSE, 1, LABELS[:, None]),
    ],
)
def test_what_torch_takes_is_taken(criterion: nn.Module, outputs: int, targets: Tensor) -> None:
    assert len(trial_of(criterion, targets, answering(outputs)).run(1)) == 1


def test_probabilities_in_reduced_precision() -> None:
    network = answering(3, nn.Sigmoid())
    trial = trial_of(nn.BCELoss(), BITS.float(), network).with_trainer(precision="bf16-mixed")
    assert len(trial.run(1)) == 1


def test_maps_of_classes() -> None:
    maps = nn.Sequential(nn.Conv2d(1, 3, 1))
    rows = LABELS[:, None, None].expand(-1, 6, 6).contiguous()
    assert len(trial_of(CE, rows, maps).run(1)) == 1
    with pytest.raises(TrainingError, match=r"shape \(B, 6, 6\), received targets of int32"):
        trial_of(CE, rows.int(), maps).run(1)
    with pytest.raises(TrainingError, match=r"\(8, 6, 6, 1\).*give targets\.squeeze\(3\)\."):
        trial_of(CE, rows[..., None], maps).run(1)


def test_a_later_batch_in_another_form() -> None:
    network = answering(3)
    trial = trial_of(CE, LABELS, network)
    batches = [(IMAGES[:8], LABELS[:8]), (IMAGES[8:], LABELS[8:].int())]
    with pytest.raises(TrainingError, match=r"received targets of int32 and shape \(24,\)"):
        trial.with_generators(batches).run(1)


def test_one_output_for_several_classes_would_have_no_loss() -> None:
    with pytest.raises(TrainingError, match=r"\(8, 1\), whose loss is always 0; take nn\.BCEWith"):
        trial_of(CE, torch.zeros(32, dtype=torch.long), answering(1)).run(1)


def test_outputs_that_are_no_probabilities() -> None:
    with pytest.raises(TrainingError, match=r"BCELoss takes probabilities.*nn\.BCEWithLogitsLoss"):
        trial_of(nn.BCELoss(), BITS.float(), answering(3)).run(1)


def test_targets_out_of_range_may_be_meant() -> None:
    trial = trial_of(BCE, LABELS.float(), answering(0), silence=["labels"])
    assert len(trial.run(1)) == 1


def test_an_error_in_a_loss_of_ones_own_says_what_it_received() -> None:
    def own(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    with pytest.raises(RuntimeError, match="Long") as caught:  # torch's own words
        trial_of(own, LABELS.int(), answering(3)).run(1)
    (note,) = caught.value.__notes__
    assert note == (
        "The loss received outputs: float32 of shape (8, 3); targets: int32 of shape (8,)."
    )


# Losses of one's own that compare all with all.


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).mean()


@pytest.mark.parametrize(("outputs", "targets"), [(1, VALUES), (0, VALUES[:, None])])
def test_a_loss_of_ones_own_that_compares_all_with_all(outputs: int, targets: Tensor) -> None:
    def inner(outputs: Tensor, targets: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of the sizes
            return functional.mse_loss(outputs, targets)

    for criterion in (squared, inner):
        trial = trial_of(criterion, targets, answering(outputs))
        trial.run(1)
        assert [finding.name for finding in trial.findings] == ["shapes"]
        assert re.search(
            r"\(8, ?1?\).*every output with every target.*squeeze\(1\)", trial.findings[0].message
        )


@pytest.mark.parametrize(
    "criterion",
    [
        lambda outputs, targets: squared(outputs.squeeze(1), targets),
        lambda outputs, targets: squared(outputs, targets.unsqueeze(1)),
        lambda outputs, targets: squared(outputs[:, 0], targets),
    ],
)
def test_a_loss_of_ones_own_that_knows_what_it_does(criterion: Any) -> None:
    trial = trial_of(criterion, VALUES, answering(1))
    trial.run(1)
    assert trial.findings == []


# Inputs.


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(1)
        self.rest = toys.network()

    def forward(self, images: Tensor) -> Tensor:
        return self.rest(self.first(images))


@pytest.mark.parametrize(
    "make", [toys.network, Normalised, lambda: nn.Sequential(nn.Conv2d(1, 3, 6), nn.Flatten())]
)
@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        (torch.float64, r"give inputs\.to\(torch\.float32\)"),
        (torch.float16, r"give inputs\.to\(torch\.float32\)"),
        (torch.uint8, r"give inputs\.float\(\) / 255"),
        (torch.int64, r"give inputs\.float\(\)\."),
    ],
)
def test_inputs_of_another_type(
    make: Callable[[], nn.Module], kind: torch.dtype, remedy: str
) -> None:
    name = str(kind).removeprefix("torch.")
    message = rf"computes in float32, received inputs of {name} and .*{remedy}"
    with pytest.raises(TrainingError, match=message):
        trial_of(CE, LABELS, make(), IMAGES.to(kind)).run(1)


def test_held_out_inputs_of_another_type() -> None:
    trial = trial_of(CE, LABELS, toys.network(), IMAGES.double())
    for ask in (lambda: trial.evaluate(data_key="test"), trial.predict):
        with pytest.raises(TrainingError, match=r"received inputs of float64 and"):
            ask()


def test_a_network_of_doubles() -> None:
    trial = trial_of(CE, LABELS, toys.network().double())
    with pytest.raises(TrainingError, match=r"give inputs\.to\(torch\.float64\), or .*\.float\(\)"):
        trial.run(1)
    assert len(trial_of(CE, LABELS, toys.network().double(), IMAGES.double()).run(1)) == 1


def test_batches_of_numpy() -> None:
    trial = toys.trial().with_generators([(IMAGES.numpy(), LABELS.numpy())])
    with pytest.raises(TrainingError, match=r"inputs as an array of numpy.*torch\.from_numpy"):
        trial.run(1)
    trial.with_generators([(IMAGES, LABELS.numpy())])
    with pytest.raises(TrainingError, match="targets as an array of numpy"):
        trial.run(1)


def test_targets_that_are_a_list() -> None:
    trial = toys.trial().with_generators([(IMAGES[:3], [0, 1, 2])])
    with pytest.raises(TrainingError, match=r"one tensor, received a list; .*torch\.tensor"):
        trial.run(1)


def test_single_examples_in_place_of_batches() -> None:
    data = TensorDataset(IMAGES, LABELS)
    for source in (data, [(image, int(label)) for image, label in data]):
        trial = toys.trial().with_generators(source)  # type: ignore[arg-type]
        with pytest.raises(TrainingError, match=r"received one .*DataLoader\(dataset"):
            trial.run(1)


@pytest.mark.parametrize("workers", [0, 1])
def test_items_that_cannot_be_put_together(workers: int) -> None:
    sizes: Any = [(torch.rand(1, side, side), 0) for side in (6, 5)]
    with pytest.raises(TrainingError, match=r"cannot make a batch.*Resize\(\(64, 64\)\)"):
        toys.trial().with_generators(DataLoader(sizes, 2, num_workers=workers)).run(1)
    pictures: Any = [(Image.fromarray(np.zeros((6, 6), dtype=np.uint8)), 0)] * 2
    with pytest.raises(TrainingError, match=r"found <class 'PIL\.Image\.Image'>; .*ToImage\(\)"):
        toys.trial().with_generators(DataLoader(pictures, 2, num_workers=workers)).run(1)


def test_other_errors_of_a_data_set_are_left_as_they_are() -> None:
    class Broken(TensorDataset):
        def __getitem__(self, index: int) -> tuple[Tensor, ...]:
            raise RuntimeError("of its own making")

    with pytest.raises(RuntimeError, match="of its own making"):
        toys.trial().with_generators(DataLoader(Broken(IMAGES, LABELS), 8)).run(1)
