from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter import Classifier, ImageData, Split, Trial
from lamplighter.errors import ModelError, OutputError, TrainingError, UnknownLayerError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.pretrained import PretrainedNetwork
from lamplighter.training.callbacks import OneCycle
from lamplighter.transfer.freezing import freeze, frozen, layered_parameters, unfreeze
from lamplighter.transfer.split_network import CutNetwork, activations, cut_batches

NAMES = ("a", "b", "c")
SIZE = 20


@pytest.fixture
def data() -> ImageData:
    """48 training and 16 validation images of noise, a channel of which tells the class."""
    generator = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = generator.integers(len(NAMES), size=count)
        images = generator.integers(0, 128, (count, 3, SIZE, SIZE), dtype=np.uint8)
        images[np.arange(count), labels] += 60
        return Split(images, labels)

    preprocessing = Preprocessing(height=SIZE, width=SIZE)
    splits = {"train": split(48), "val": split(16)}
    return ImageData(splits, NAMES, preprocessing=preprocessing, name="noise")


def classifier(data: ImageData, name: str = "champion") -> Classifier:
    torch.manual_seed(0)
    return Classifier.new(name, data)


def sample(data: ImageData) -> torch.Tensor:
    return torch.from_numpy(data.preprocessing.normalise(data["val"].images[:2]))


@pytest.mark.parametrize(("name", "after"), [("champion", "features.11"), ("better-cnn", "hidden")])
@pytest.mark.parametrize("balance", ["none", "sampler"])
def test_the_tail_learns_what_the_whole_network_learns(
    data: ImageData, name: str, after: str, balance: str
) -> None:
    def trial(model: Classifier | nn.Module, network: nn.Module) -> Trial:
        optimizer = torch.optim.AdamW(layered_parameters(network, 2e-3), weight_decay=0.05)
        criterion = nn.CrossEntropyLoss()
        metrics, cycle = ["loss", "acc"], OneCycle(warm_up=0.3)
        return Trial(model, optimizer, criterion, metrics, [cycle], verbose=0, seed=5)

    whole, tailed = classifier(data, name), classifier(data, name)
    before = {key: value.clone() for key, value in whole.network.state_dict().items()}
    freeze(whole.network, until=after)
    slow = trial(whole, whole.network).with_images(data, 16, balance=balance)  # type: ignore[arg-type]
    slow.run(4)

    cut = CutNetwork(tailed.network, after, sample(data))
    assert frozen(tailed.network) == frozen(whole.network)
    batches = {
        split: cut_batches(tailed, data, split, cut, batch_size=16, seed=5, balance=balance)  # type: ignore[arg-type]
        for split in ("train", "val")
    }
    fast = trial(cut.tail_part, tailed.network).with_generators(batches["train"], batches["val"])
    fast.run(4)
    assert fast.findings == slow.findings == []
    ours, theirs = tailed.network.state_dict(), whole.network.state_dict()
    for key in theirs:
        torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=1e-5)
    assert any(not torch.equal(theirs[key], before[key]) for key in theirs)
    for row, expected in zip(fast.history, slow.history, strict=True):
        assert row["val_loss"] == pytest.approx(expected["val_loss"], abs=1e-4)
        assert row["acc"] == expected["acc"]


def test_both_parts_are_the_network(data: ImageData) -> None:
    model = classifier(data).network
    cut = CutNetwork(model, "features.3", sample(data))
    model.eval()
    with torch.no_grad():
        maps = cut.head_part(sample(data))
        torch.testing.assert_close(cut.tail_part(maps), model(sample(data)))
    assert repr(cut) == "CutNetwork(ChampionCNN, after features.3)"
    with pytest.raises(ModelError, match="must leave stages to train after it, and 'fc'"):
        CutNetwork(model, "fc", sample(data))
    with pytest.raises(UnknownLayerError, match="no stage 'nothing'"):
        CutNetwork(model, "nothing", sample(data))


def test_a_backbone_that_is_no_chain_is_cut_before_its_head() -> None:
    model = PretrainedNetwork(3, 3, (224, 224), backbone="vit_tiny_patch16_224").eval()
    images = torch.rand(1, 3, 224, 224)
    cut = CutNetwork(model, "backbone", images)
    assert list(cut.tail_part) == [model.head]
    with torch.no_grad():
        torch.testing.assert_close(cut.tail_part(cut.head_part(images)), model(images))
    with pytest.raises(ModelError, match="must be a chain of its parts"):
        CutNetwork(model, "backbone.blocks.3", images)


def test_activations_are_those_of_the_frozen_part(data: ImageData, tmp_path: Path) -> None:
    model = classifier(data)
    cut = CutNetwork(model.network, "features.4", sample(data))
    images = data["train"].images
    done: list[tuple[int, int]] = []
    kept = activations(
        cut,
        images,
        model.preprocessing,
        batch_size=20,
        progress=lambda count, total: done.append((count, total)),
    )
    assert done == [(20, 48), (40, 48), (48, 48)]
    with torch.no_grad():
        inputs = torch.from_numpy(model.preprocessing.normalise(images))
        expected = model.network.features[:7].eval()(inputs).numpy()
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept, expected, atol=1e-5)
    mapped = activations(cut, images, model.preprocessing, batch_size=20, limit=0, folder=tmp_path)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, kept)
    assert list(tmp_path.iterdir()) == []  # nothing is left, even by a kill


def test_activations_that_cannot_be(data: ImageData, tmp_path: Path) -> None:
    model = classifier(data)
    cut = CutNetwork(model.network, "features.4", sample(data))
    images = data["val"].images
    with pytest.raises(TrainingError, match="there are no images"):
        activations(cut, images[:0], model.preprocessing)
    with pytest.raises(OutputError, match=r"cannot be written to .*nowhere: No such file.*; free"):
        activations(cut, images, model.preprocessing, limit=0, folder=tmp_path / "nowhere")
    unfreeze(model.network, since="features.4")
    with pytest.raises(TrainingError, match=r"up to features\.4 must be frozen, and were unfrozen"):
        activations(cut, images, model.preprocessing)


def test_a_full_disk_is_said(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(data)
    cut = CutNetwork(model.network, "features.4", sample(data))
    full = Path("/dev/full").open("wb", 0)  # noqa: SIM115 - the activations close it
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full)
    with pytest.raises(
        OutputError, match="No space left on device; free some space, or cut nearer"
    ):
        activations(cut, data["val"].images, model.preprocessing, limit=0)
