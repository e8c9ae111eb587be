"""Sample images that come with the package, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lamplighter.datasets.embedded import embedded
from lamplighter.datasets.emoji import emoji_files
from lamplighter.errors import DatasetError
from lamplighter.files.folders import new_folder
from lamplighter.names import unknown_name

# SHA-256 of each picture.
_DIGITS = {
    "digit-0.jpg": "18911f5e377cb2b60fbf788b0d53640a0170b2ddf1a5648d298d4aa4ef697080",
    "digit-1.png": "e9356e7c369b358ffbd57618ce419dc563f41e5c19f8d561a018ec0b860a8337",
    "digit-2.jpg": "ef190e1334a42f68a8e1df3e33e4dfa13a839ce91f446a80e989f8320e0e9603",
    "digit-3.jpg": "192071661b784d0c96ebd0235876688d76508f93ba2df720addb6ad2d5113cde",
    "digit-4.png": "97c87bd65d2c61b01c418ab8e3f71015e70e9c4e5874651b9b570cbcd85b8595",
    "digit-5.jpg": "7b826e970a1d0bb4d1fd3886ad9865964652c6d689848dd437eb5db7754fbd75",
    "digit-6.jpg": "447411f3027d2ca66b5acc4b944b0a24f72cf8ccaf17d7e4894560c58280538b",
    "digit-7.jpg": "caecac0aba28bc8960c4fcb143674b77e859ef0ceb3707fc29d0a1662c09bedd",
    "digit-8.jpg": "4234e3881c1eee1981f9f761ad756b3a417bfc4dead90c6f2dd472d3717fb6c5",
    "digit-9.png": "d803e1511f1d34ba9f49392f3c7b35e9f481c8e45963e678f9c7f2d77afa547c",
}


def write_sample(name: Literal["digits", "emoji"], folder: str | Path) -> Path:
    """Write one of the embedded samples as image files; return the folder.

    "digits" is a picture of each digit, digit-0 to digit-9, in pen, chalk or on a screen: JPEG and
    PNG files of 120 x 120 to 1000 x 750 pixels. "emoji" is 950 drawings of 64 x 64 pixels as
    SPLIT/CLASS/NAME.png (see `ImageData.emoji`).

    The folder appears when it is complete.

    Raises:
        DatasetError: there is no such sample, or the embedded files are damaged.
        OutputError: `folder` has anything in it already, or cannot be written.
    """
    if name == "emoji":
        emoji_files(folder)
    elif name == "digits":
        digit_files(folder)
    else:
        raise DatasetError(unknown_name("sample", name, ("digits", "emoji")))
    return Path(folder)


def digit_files(folder: str | Path) -> list[str]:
    """Write the ten pictures of digits into `folder`; return their names.

    Raises:
        DatasetError: the embedded files are damaged.
        OutputError: `folder` has anything in it already, or cannot be written.
    """
    content = {name: embedded(f"digit_files/{name}", _DIGITS[name]) for name in _DIGITS}
    with new_folder(folder) as new:
        for name, picture in content.items():
            (new / name).write_bytes(picture)
    return list(content)
