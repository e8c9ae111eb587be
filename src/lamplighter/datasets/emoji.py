"""Emoji, embedded in the package: 64 x 64 colour drawings of things, each by two artists.

825 emoji of Unicode 16 in 17 classes, which follow Unicode's subcategories: mammal, bird, bug,
sea (animals and other life of the sea), fruit-and-vegetable, meal (dishes, bread and sweets),
drink, road (vehicles on roads and rails), air-and-water (vehicles elsewhere), building (places of
worship too), clothing (bags too), plant, face (of people, robots and ghosts), flag, tool,
instrument and sport (balls and gear). Left out are pictures of no such thing (a feather is no
bird), weapons, skin tones, and flags drawn like another country's. The classes are as unequal as
Unicode is: 261 flags, 12 instruments.

The splits are fixed: of each class about 15 % of the emoji are for "test" and as many for "val",
chosen by a hash of their codes. Emoji of one group stay together: those that Unicode makes of one
another (cat and black cat), and those that are drawn nearly alike (neutral and expressionless
face). "train", "val" and "test" are the drawings of Noto Emoji. "test-twemoji" is the emoji of
"test" once more, drawn by the artists of Twemoji: the same things, none of which was trained on,
so that the difference between the two scores is what the other style of drawing costs.

Noto Emoji: Google, Apache License 2.0. Twemoji: Twitter, Inc. and other contributors, CC BY 4.0.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from PIL import Image

from lamplighter.datasets.embedded import embedded
from lamplighter.errors import DatasetError
from lamplighter.files.folders import new_folder
from lamplighter.names import unknown_name

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lamplighter.images.preprocessing import Preprocessing

Artist = Literal["noto", "twemoji"]

EMOJI_SIZE = 64
# SHA-256 of each file, unpacked.
_CHECKSUMS = {
    "emoji.csv": "7edff8ad39cc855ad5011b1cbd9373511c92761ffbb277ab62c2eeca95882e83",
    "noto.xz": "67b0307e7ab672f90b2dc2c1ebd56a98a9e9236757e7f7f6509f176597ae2762",
    "twemoji.xz": "d0867748811ed9d6514dbf6fdffdce060e6733aea45031a0ea00226389e17081",
}
# Each split: the artist whose drawings it has, and which emoji.
_SPLITS: dict[str, tuple[Artist, str]] = {
    "train": ("noto", "train"),
    "val": ("noto", "val"),
    "test": ("noto", "test"),
    "test-twemoji": ("twemoji", "test"),
}

ATTRIBUTION = """\
The drawings in the folders train, val and test are from Noto Emoji by Google
(https://github.com/googlefonts/noto-emoji), Apache License 2.0
(https://www.apache.org/licenses/LICENSE-2.0).

The drawings in the folder test-twemoji are from Twemoji, copyright Twitter, Inc. and other
contributors (https://github.com/jdecked/twemoji), CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/).

Both were taken, at 64 x 64 pixels, from the npm packages emoji-datasource-google and
emoji-datasource-twitter 16.0.0 by Cal Henderson (MIT). They were sorted into classes and splits,
and their wholly transparent pixels set to black; nothing else was changed.
"""


@dataclass(frozen=True)
class Emoji:
    """One emoji.

    Attributes:
        code: its code points, hexadecimal, as in "1f408-200d-2b1b".
        name: what it shows, in plain lower-case letters, as in "black cat"; no two are the same.
        class_name: what kind of thing it is, as in "mammal".
        group: the code of the first emoji that it must share a split with, itself or another.
        split: "train", "val" or "test".
    """

    code: str
    name: str
    class_name: str
    group: str
    split: str


def list_emoji() -> tuple[Emoji, ...]:
    """Return the 825 emoji, in Unicode's order.

    Raises:
        DatasetError: the embedded table is damaged.
    """
    rows = csv.reader(_content("emoji.csv").decode().splitlines())
    next(rows)  # the names of the columns
    return tuple(Emoji(*row) for row in rows)


def load_emoji(artist: Artist = "noto") -> NDArray[np.uint8]:
    """Return the drawings of all emoji by one artist: RGBA, shape (N, 64, 64, 4).

    They are in the order of `list_emoji`, training, validation and test emoji alike.

    Raises:
        DatasetError: there is no such artist, or the embedded files are damaged.
    """
    if f"{artist}.xz" not in _CHECKSUMS:
        raise DatasetError(unknown_name("artist", artist, get_args(Artist)))
    pixels = np.frombuffer(_content(f"{artist}.xz"), dtype=np.uint8)
    return pixels.reshape(-1, EMOJI_SIZE, EMOJI_SIZE, 4).copy()


def emoji_splits(
    preprocessing: Preprocessing,
) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]]:
    """Return the emoji, laid on white, in splits "train", "val", "test" and "test-twemoji".

    Args:
        preprocessing: how a drawing becomes what a network sees.

    Returns:
        For each split pixels (N, C, H, W), class indices (N,) and the paths that `emoji_files`
        gives them.

    Raises:
        DatasetError: the embedded files are damaged.
    """
    emoji = list_emoji()
    names = emoji_classes()
    drawings = {artist: load_emoji(artist) for artist in get_args(Artist)}
    splits = {}
    for name, (artist, part) in _SPLITS.items():
        chosen = [index for index, one in enumerate(emoji) if one.split == part]
        pixels = [
            preprocessing.pixels(Image.fromarray(drawings[artist][index])) for index in chosen
        ]
        labels = np.array([names.index(emoji[index].class_name) for index in chosen])
        paths = tuple(_path(name, emoji[index]) for index in chosen)
        splits[name] = np.stack(pixels), labels, paths
    return splits


def emoji_classes() -> list[str]:
    """Return the names of the 17 classes, sorted.

    Raises:
        DatasetError: the embedded table is damaged.
    """
    return sorted({one.class_name for one in list_emoji()})


def emoji_files(folder: str | Path) -> dict[str, int]:
    """Write the emoji as SPLIT/CLASS/NAME.png with their alpha; return how many in each split.

    The folder appears when it is complete.

    Raises:
        DatasetError: the embedded files are damaged.
        OutputError: `folder` has anything in it already, or cannot be written.
    """
    emoji = list_emoji()
    drawings = {artist: load_emoji(artist) for artist in get_args(Artist)}
    counts = dict.fromkeys(_SPLITS, 0)
    with new_folder(folder) as new:
        (new / "ATTRIBUTION.txt").write_text(ATTRIBUTION, encoding="utf-8")
        for name, (artist, part) in _SPLITS.items():
            for one, pixels in zip(emoji, drawings[artist], strict=True):
                if one.split == part:
                    path = new / _path(name, one)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)
                    counts[name] += 1
    return counts


def _path(split: str, emoji: Emoji) -> str:
    return f"{split}/{emoji.class_name}/{emoji.name.replace(' ', '-')}.png"


def _content(name: str) -> bytes:
    return embedded(f"emoji_files/{name}", _CHECKSUMS[name])
