from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lamplighter.datasets import batches as module
from lamplighter.datasets.batches import Batches
from lamplighter.errors import DatasetError
from lamplighter.images.preprocessing import Preprocessing

RGB = Preprocessing(height=2, width=3, mean=(0.1, 0.5, 0.9), std=(0.2, 0.3, 0.4))


def numbered(count: int, size: int, **changes: object) -> Batches:
    """Batches of images, of which number i has the label i."""
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 2, 3), dtype=np.uint8)
    values = {"shuffle": True, "seed": 0, "preprocessing": RGB} | changes
    return Batches(images, np.arange(count), batch_size=size, **values)  # type: ignore[arg-type]


def order(batches: Batches) -> list[int]:
    return [int(label) for _, labels in batches for label in labels]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 50), st.integers(1, 60), st.booleans(), st.integers(0, 2**40))
def test_every_image_comes_once_an_epoch(count: int, size: int, shuffle: bool, seed: int) -> None:
    batches = numbered(count, size, shuffle=shuffle, seed=seed)
    sizes = [len(labels) for _, labels in batches]
    assert len(sizes) == len(batches) == -(-count // size)
    assert set(sizes[:-1]) <= {size}
    assert sorted(order(batches)) == list(range(count))
    assert shuffle or order(batches) == list(range(count))


def test_the_order_follows_seed_and_epoch() -> None:
    batches = numbered(100, 8, seed=4)
    first = order(batches)
    assert first == order(batches) == order(numbered(100, 8, seed=4))
    assert first != order(numbered(100, 8, seed=5))
    batches.set_epoch(1)
    second = order(batches)
    assert second != first
    batches.set_epoch(0)
    assert order(batches) == first


def test_the_order_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    order(numbered(50, 8))
    assert torch.equal(torch.rand(3), expected)


def test_images_are_what_the_preprocessing_makes_of_them() -> None:
    batches = numbered(20, 6)
    pixels = batches.images.numpy().copy()
    for images, labels in batches:
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int64
        expected = RGB.normalise(pixels[labels.numpy()])
        np.testing.assert_allclose(images.numpy(), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(batches.images.numpy(), pixels)


def test_arrays_that_torch_cannot_share_are_copied() -> None:
    images = np.arange(72, dtype=np.uint8).reshape(4, 3, 2, 3)
    labels = np.arange(4)
    values = {"batch_size": 4, "shuffle": False, "seed": 0, "preprocessing": RGB}
    shared = Batches(images, labels, **values)  # type: ignore[arg-type]
    assert np.shares_memory(shared.images.numpy(), images)
    assert np.shares_memory(shared.labels.numpy(), labels)
    read_only, fixed = images.copy(), labels.copy()
    read_only.flags.writeable = fixed.flags.writeable = False
    for pixels, classes in ((images[:, :, ::-1], labels[::-1]), (read_only, fixed)):
        batches = Batches(pixels, classes, **values)  # type: ignore[arg-type]
        ((inputs, given),) = batches
        np.testing.assert_allclose(inputs.numpy(), RGB.normalise(pixels), rtol=0, atol=1e-6)
        assert given.tolist() == classes.tolist()


def test_no_image_is_decoded_or_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("Pillow was used")

    monkeypatch.setattr(Preprocessing, "pixels", refuse)
    monkeypatch.setattr(Image, "fromarray", refuse)
    monkeypatch.setattr(Image.Image, "resize", refuse)
    assert len(order(numbered(10, 4))) == 10


def test_augmentation_comes_before_normalising() -> None:
    seen = []

    def darken(images: torch.Tensor) -> torch.Tensor:
        seen.append((float(images.min()), float(images.max())))
        return images * 0

    for images, _ in numbered(20, 6, augmentation=darken):
        expected = torch.tensor([-0.1 / 0.2, -0.5 / 0.3, -0.9 / 0.4]).view(3, 1, 1)
        torch.testing.assert_close(images, expected.expand_as(images))
    assert all(0 <= low < high <= 1 for low, high in seen)


def test_the_last_epochs_may_show_the_images_as_they_are() -> None:
    def blacken(images: torch.Tensor) -> torch.Tensor:
        return images * 0

    batches = numbered(20, 20, augmentation=blacken, augmented_epochs=2)
    plain = numbered(20, 20)
    for epoch in range(4):
        batches.set_epoch(epoch)
        plain.set_epoch(epoch)
        (images, _), (as_they_are, _) = next(iter(batches)), next(iter(plain))
        assert torch.equal(images, as_they_are) is (epoch >= 2)


@pytest.mark.parametrize(("count", "size", "processes"), [(20, 6, 2), (21, 8, 3), (8, 4, 2)])
def test_processes_share_each_batch(
    monkeypatch: pytest.MonkeyPatch, count: int, size: int, processes: int
) -> None:
    alone = [labels.tolist() for _, labels in numbered(count, size)]
    shares = []
    for rank in range(processes):
        monkeypatch.setattr(module, "rank_and_world_size", lambda rank=rank: (rank, processes))
        batches = numbered(count, size)
        shares.append([labels.tolist() for _, labels in batches])
        assert len(shares[-1]) == len(batches)
        assert all(shares[-1])  # no process is left without work, or it would hang the others
    assert len({len(share) for share in shares}) == 1
    for number, parts in enumerate(zip(*shares, strict=True)):
        assert sorted(label for part in parts for label in part) == sorted(alone[number])
    assert len(shares[0]) == len(alone)


def test_images_too_few_to_share_join_the_batch_before(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for rank in range(3):
        monkeypatch.setattr(module, "rank_and_world_size", lambda rank=rank: (rank, 3))
        shares.append([labels.tolist() for _, labels in numbered(10, 4, shuffle=False)])
    assert [len(share) for share in shares] == [2, 2, 2]
    whole = [
        sorted(label for part in parts for label in part) for parts in zip(*shares, strict=True)
    ]
    assert whole == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]


def test_whole_batches_for_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [labels.tolist() for _, labels in numbered(9, 4)]
    monkeypatch.setattr(module, "rank_and_world_size", lambda: (1, 2))
    assert [labels.tolist() for _, labels in numbered(9, 4, shared=False)] == alone


@pytest.mark.parametrize(("count", "size"), [(20, 2), (2, 20)])
def test_a_batch_too_small_to_share(monkeypatch: pytest.MonkeyPatch, count: int, size: int) -> None:
    monkeypatch.setattr(module, "rank_and_world_size", lambda: (0, 3))
    with pytest.raises(DatasetError, match=f"{count} images in batches of {size} cannot be shared"):
        len(numbered(count, size))


def test_a_batch_needs_at_least_one_image() -> None:
    with pytest.raises(DatasetError, match="at least 1, received 0"):
        numbered(3, 0)
    with pytest.raises(DatasetError, match="no images"):
        numbered(0, 4)


def test_a_balanced_epoch_draws_every_class_as_often() -> None:
    labels = np.repeat(np.array([0, 2, 3]), [3000, 900, 100])  # class 1 has no image
    pixels = np.arange(4000, dtype=np.uint32).view(np.uint8).reshape(4000, 1, 2, 2)
    batches = Batches(
        pixels,
        labels,
        batch_size=64,
        shuffle=True,
        seed=3,
        preprocessing=Preprocessing(height=2, width=2, channels=1, mean=(0.0,), std=(1.0,)),
        balanced=True,
    )

    def epoch(number: int) -> tuple[np.ndarray, np.ndarray]:
        batches.set_epoch(number)
        images, drawn = zip(*batches, strict=True)
        bytes_of = np.concatenate([part.numpy() for part in images]) * 255
        numbers = bytes_of.round().astype(np.uint8).reshape(-1, 4).view(np.uint32)[:, 0]
        return numbers, np.concatenate([part.numpy() for part in drawn])

    numbers, drawn = epoch(0)
    assert len(drawn) == 4000
    assert (labels[numbers] == drawn).all()  # each image with its own label
    counts = np.bincount(drawn)
    assert counts[1] == 0
    # A third each: a standard deviation is sqrt(4000 * 2/9) = 30.
    assert (np.abs(counts[[0, 2, 3]] - 4000 / 3) < 120).all()
    rare = np.bincount(numbers[drawn == 3] - 3900, minlength=100)
    assert rare.min() >= 1  # of 13 on average
    assert rare.max() < 35
    again, other = epoch(0)[0], epoch(1)[0]
    assert (again == numbers).all()
    assert (other != numbers).any()
    batches.shuffle = False
    assert (epoch(0)[0] == np.arange(4000)).all()


def test_processes_share_a_balanced_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Batches(
        np.zeros((50, 1, 2, 2), np.uint8),
        np.repeat(np.arange(2), [45, 5]),
        batch_size=10,
        shuffle=True,
        seed=1,
        preprocessing=Preprocessing(height=2, width=2, channels=1, mean=(0.0,), std=(1.0,)),
        balanced=True,
    )
    whole = [labels.tolist() for _, labels in batches]
    shares = []
    for rank in range(2):
        monkeypatch.setattr(
            "lamplighter.datasets.batches.rank_and_world_size", lambda rank=rank: (rank, 2)
        )
        shares.append([labels.tolist() for _, labels in batches])
    for batch, first, second in zip(whole, *shares, strict=True):
        assert (batch[::2], batch[1::2]) == (first, second)
