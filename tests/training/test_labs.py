"""The sentences of two university labs, under the name that they import."""

from __future__ import annotations

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset

import lamplighter as torchbearer
from lamplighter import Trial

from . import toys


class Pictures(Dataset):
    """As torchvision's data sets: (image, label) with a Python number for the label."""

    def __init__(self, count: int, seed: int) -> None:
        self.images, self.targets = toys.examples(count, seed)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        return self.images[index], int(self.targets[index])


def test_training_and_testing_a_first_network() -> None:
    model = toys.network()
    trainloader = DataLoader(Pictures(64, 0), batch_size=16, shuffle=True)
    testloader = DataLoader(Pictures(32, 1), batch_size=16, shuffle=True)

    loss_function = nn.CrossEntropyLoss()
    optimiser = optim.Adam(model.parameters())
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    trial = Trial(model, optimiser, loss_function, metrics=["loss", "accuracy"]).to(device)
    trial.with_generators(trainloader, test_generator=testloader)
    trial.run(epochs=2)
    results = trial.evaluate(data_key=torchbearer.TEST_DATA)

    assert set(results) == {"test_loss", "test_acc"}
    assert 0 <= results["test_acc"] <= 1
    assert [set(row) >= {"loss", "acc", "running_acc"} for row in trial.history] == [True, True]
    assert trial.findings == []


def test_training_further_and_asking() -> None:
    model = toys.network()
    train_loader = DataLoader(Pictures(64, 0), batch_size=16, shuffle=True, num_workers=0)
    val_loader = DataLoader(Pictures(32, 1), batch_size=16)
    test_loader = DataLoader(Pictures(21, 2), batch_size=16)
    trial = torchbearer.Trial(
        model, optim.Adam(model.parameters(), lr=1e-2), nn.CrossEntropyLoss(), metrics=["acc"]
    ).to("cpu")

    trial.with_generators(train_loader, val_generator=val_loader, test_generator=test_loader)
    trial.run(epochs=5)
    results = trial.evaluate(data_key=torchbearer.VALIDATION_DATA)
    predictions = trial.predict()
    predicted_classes = predictions.argmax(1).cpu()
    true_classes = [label for _, label in test_loader.dataset]

    assert set(results) == {"val_acc"}
    assert results["val_acc"] == trial.history[-1]["val_acc"]
    right = (predicted_classes == torch.tensor(true_classes)).double().mean().item()
    assert right == trial.evaluate(data_key=torchbearer.TEST_DATA)["test_acc"]
    assert right > 0.5


def test_weights_come_and_go(tmp_path) -> None:
    trial = Trial(toys.network())
    torch.save(trial.network.state_dict(), tmp_path / "model.weights")
    other = toys.network(9)
    other.load_state_dict(torch.load(tmp_path / "model.weights"))
    assert toys.same_weights(trial.network, other)
