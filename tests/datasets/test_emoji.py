from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamplighter.datasets import embedded
from lamplighter.datasets.emoji import emoji_files, list_emoji, load_emoji
from lamplighter.datasets.image_data import ImageData
from lamplighter.errors import DatasetError, OutputError
from lamplighter.images.preprocessing import Preprocessing

EMBEDDED = Path(str(resources.files("lamplighter.datasets"))) / "emoji_files"
CLASSES = (
    "air-and-water bird bug building clothing drink face flag fruit-and-vegetable instrument "
    "mammal meal plant road sea sport tool"
)


@pytest.fixture(scope="module")
def emoji() -> ImageData:
    return ImageData.emoji()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("emoji") / "emoji"
    emoji_files(target)
    return target


def test_what_is_embedded_is_small() -> None:
    assert sum(file.stat().st_size for file in EMBEDDED.iterdir()) <= 4_000_000


def test_classes_and_splits(emoji: ImageData) -> None:
    assert " ".join(emoji.class_names) == CLASSES
    assert {name: len(split) for name, split in emoji.splits.items()} == {
        "train": 575,
        "val": 125,
        "test": 125,
        "test-twemoji": 125,
    }
    for split in emoji.splits.values():
        assert set(split.labels.tolist()) == set(range(17))
        assert split.images.shape[1:] == (3, 64, 64)


def test_the_second_test_split_is_the_same_emoji_in_other_drawings(emoji: ImageData) -> None:
    one, other = emoji["test"], emoji["test-twemoji"]
    np.testing.assert_array_equal(one.labels, other.labels)
    assert [path.split("/")[1:] for path in one.paths] == [p.split("/")[1:] for p in other.paths]
    assert not (one.images == other.images).all(axis=(1, 2, 3)).any()


def test_no_emoji_and_no_group_is_on_both_sides_of_a_split() -> None:
    everything = list_emoji()
    for field in ("code", "name"):
        assert max(Counter(getattr(one, field) for one in everything).values()) == 1
    splits: dict[str, set[str]] = {}
    for one in everything:
        splits.setdefault(one.group, set()).add(one.split)
    assert {len(found) for found in splits.values()} == {1}
    # What Unicode spells with one another, joined by 200d, is one group.
    bases: dict[str, set[str]] = {}
    for one in everything:
        bases.setdefault(one.code.split("-200d-")[0].removesuffix("-fe0f"), set()).add(one.group)
    assert {base: found for base, found in bases.items() if len(found) > 1} == {}


def test_no_drawing_is_nearly_in_training_and_in_a_test(emoji: ImageData) -> None:
    train = emoji["train"].images.reshape(575, -1).astype(np.float64)
    for name in ("val", "test"):
        others = emoji[name].images.reshape(125, -1).astype(np.float64)
        squares = (train**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * train @ others.T
        alike = np.sqrt(np.maximum(squares, 0) / train.shape[1]) < 20
        classes = emoji["train"].labels[:, None] == emoji[name].labels[None]
        assert not (alike & classes).any()


@pytest.mark.parametrize(
    ("name", "class_name"),
    [("red apple", "fruit-and-vegetable"), ("black cat", "mammal"), ("norway flag", "flag"),
     ("violin", "instrument"), ("penguin", "bird"), ("octopus", "sea"), ("ambulance", "road")],
)  # fmt: skip
def test_well_known_emoji_are_what_they_are(name: str, class_name: str) -> None:
    (found,) = [one for one in list_emoji() if one.name == name]
    assert found.class_name == class_name
    index = list_emoji().index(found)
    assert load_emoji("noto")[index, ..., 3].max() == 255


def test_the_apple_is_red_and_the_codes_fit_the_drawings() -> None:
    index = [one.code for one in list_emoji()].index("1f34e")
    for artist in ("noto", "twemoji"):
        red, green, blue, alpha = load_emoji(artist)[index].reshape(-1, 4).T.astype(int)
        solid = alpha == 255
        assert red[solid].mean() > 2 * max(green[solid].mean(), blue[solid].mean())


def test_the_pixels_are_laid_on_white(emoji: ImageData) -> None:
    drawings = load_emoji("noto")
    everything = list_emoji()
    index = next(i for i, one in enumerate(everything) if one.split == "test")
    expected = np.asarray(
        Image.alpha_composite(
            Image.new("RGBA", (64, 64), "white"), Image.fromarray(drawings[index])
        ).convert("RGB"),
        dtype=int,
    )
    received = emoji["test"].images[0].transpose(1, 2, 0).astype(int)
    assert np.abs(received - expected).max() <= 2


def test_another_preprocessing() -> None:
    grey = Preprocessing(height=16, width=24, channels=1, mean=(0.5,), std=(0.5,))
    data = ImageData.emoji(grey)
    assert data["test"].images.shape == (125, 1, 16, 24)
    assert data.preprocessing == grey


def test_an_artist_that_is_not_there() -> None:
    with pytest.raises(DatasetError, match="no artist 'emoji'; did you mean 'twemoji'"):
        load_emoji("emoji")  # type: ignore[arg-type]


def test_files_hold_what_the_data_holds(folder: Path, emoji: ImageData) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    paths = [path for split in emoji.splits.values() for path in split.paths]
    assert files == set(paths)
    assert len(paths) == 950
    assert all(path.isascii() and " " not in path for path in paths)
    for name in ("train", "test-twemoji"):
        split = emoji[name]
        with Image.open(folder / split.paths[0]) as image:
            assert (image.mode, image.size) == ("RGBA", (64, 64))
            pixels = emoji.preprocessing.pixels(image)
        np.testing.assert_array_equal(pixels, split.images[0])
    text = (folder / "ATTRIBUTION.txt").read_text()
    assert all(word in text for word in ("Noto", "Apache", "Twemoji", "CC BY 4.0"))


def test_read_as_a_folder_it_is_the_same_data(folder: Path, emoji: ImageData) -> None:
    read = ImageData.from_folder(folder, size=64)
    assert read.class_names == emoji.class_names
    for name, split in emoji.splits.items():
        assert Counter(read[name].labels.tolist()) == Counter(split.labels.tolist())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "emoji").mkdir()
    (tmp_path / "emoji" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="must be a new or an empty folder"):
        emoji_files(tmp_path / "emoji")
    assert [path.name for path in tmp_path.rglob("*")] == ["emoji", "mine.txt"]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(EMBEDDED, tmp_path / "emoji_files")
    monkeypatch.setattr(embedded.resources, "files", lambda package: tmp_path)
    return tmp_path / "emoji_files"


@pytest.mark.parametrize("name", ["emoji.csv", "noto.xz", "twemoji.xz"])
def test_damaged_embedded_files_are_an_error(copied: Path, name: str, tmp_path: Path) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"embedded {name} (must have|cannot be) .*; install"):
        ImageData.emoji()
    with pytest.raises(DatasetError):
        emoji_files(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"emoji_files"}
    (copied / name).unlink()
    with pytest.raises(DatasetError, match=rf"embedded {name} cannot be read"):
        ImageData.emoji()


def test_the_table_is_a_plain_csv() -> None:
    rows = list(csv.DictReader(io.StringIO((EMBEDDED / "emoji.csv").read_text())))
    assert list(rows[0]) == ["code", "name", "class", "group", "split"]
    assert len(rows) == len(load_emoji("noto")) == len(load_emoji("twemoji")) == 825
