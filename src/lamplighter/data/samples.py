"""Sample images that come with the package, as files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from lamplighter.data.emoji import emoji_files
from lamplighter.data.new_folder import new_folder
from lamplighter.errors import DatasetError


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
        raise DatasetError(f"the sample must be 'digits' or 'emoji', received {name!r}.")
    return Path(folder)


def digit_files(folder: str | Path) -> list[str]:
    """Write the ten pictures of digits into `folder`; return their names.

    Raises:
        DatasetError: the embedded files cannot be read.
        OutputError: `folder` has anything in it already, or cannot be written.
    """
    content = _digits()
    with new_folder(folder) as new:
        for name, picture in content.items():
            (new / name).write_bytes(picture)
    return list(content)


def _digits() -> dict[str, bytes]:
    """Return the content of each picture of a digit by its file's name, in order."""
    packed = resources.files("lamplighter.data") / "digit_files"
    try:
        content = {file.name: file.read_bytes() for file in packed.iterdir()}
    except OSError as error:
        raise DatasetError(
            f"the embedded digits cannot be read ({error}); install Lamplighter again."
        ) from error
    return {name: content[name] for name in sorted(content)}
