"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lamplighter.errors import LamplighterError, OutputError
from lamplighter.names import either, near_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

# What files of networks are called that other software reads.
_OTHERS = (
    ".ckpt .h5 .hdf5 .joblib .keras .mlmodel .mlpackage .onnx .ort .pb .pickle .pkl .pt .pt2 .pth "
    ".safetensors .skops .tflite"
)
_OTHER_MODELS = frozenset(_OTHERS.split())


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[IO[bytes]]:
    """Give a file to write to, which takes the place of `path` when all is written.

    It lies beside `path` until then, and is removed on any failure; what was at `path` stays.

    Raises:
        OutputError: the folder is missing or not writable, `path` is no file, or the disk is full.
    """
    target = check_target(path)
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.partial")
    try:
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except LamplighterError:
            raise
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written: {error.strerror or error}; free some space, or choose "
                "a folder that you may write to."
            ) from error
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def written_new(path: str | Path) -> Iterator[IO[bytes]]:
    """Give a file to write to, which appears at `path` when all is written; nothing is replaced.

    Raises:
        OutputError: as `written_whole`, or there is a file already.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.partial")
    try:
        with written_whole(temporary) as file:
            yield file
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise OutputError(f"{path} is there already; choose another name.") from None
        except OSError:  # no disk for links: another program would have to write at this moment
            if target.exists():
                raise OutputError(f"{path} is there already; choose another name.") from None
            temporary.rename(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def package_written_whole(path: str | Path) -> Iterator[Path]:
    """Give the name of a folder to be made, which takes the place of `path` when all is written.

    It lies beside `path` until then, and is removed on any failure; what was at `path` stays.

    Raises:
        OutputError: as `check_package_target`, or it cannot be written.
    """
    target = check_package_target(path)
    place = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.partial")
    try:
        try:
            place.mkdir()
            made = place / target.name
            yield made
            _take_place(made, target, place / "before")
        except LamplighterError:
            raise
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written: {error.strerror or error}; free some space, or choose "
                "a folder that you may write to."
            ) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _take_place(made: Path, target: Path, aside: Path) -> None:
    """Rename a folder to `target`; what is there is put aside, and back where that fails."""
    was_there = target.exists()
    if was_there:
        target.replace(aside)
    try:
        made.replace(target)
    except OSError:
        if was_there:
            aside.replace(target)
        raise


def check_package_target(path: str | Path) -> Path:
    """Return the folder that a Core ML package is to be, following links.

    Raises:
        OutputError: there is no folder to put it in, or what is there is no such package.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (target / "Manifest.json").is_file():
        raise OutputError(
            f"{path} is there and is no Core ML package; choose another name for the new one."
        )
    if not target.exists():
        check_target(path)
    return target


def is_other_model(path: str | Path) -> bool:
    """Whether a file is called like a network that other software reads."""
    return Path(path).suffix.lower() in _OTHER_MODELS


def check_bundle_target(path: str | Path) -> Path:
    """Return the file that a bundle is to be written to, following links; refuse what is none.

    Raises:
        OutputError: as `check_target`, or the name says that it is a model of another kind.
    """
    suffix = Path(path).suffix
    if is_other_model(path):
        raise OutputError(
            f"{path} is to be a bundle, which no other program reads as {suffix}; name it "
            f"{Path(path).with_suffix('.lamp').name} (what other software reads, export writes)."
        )
    return check_target(path)


def check_target(path: str | Path) -> Path:
    """Return the file that `path` means, following links; refuse one that cannot be written.

    Raises:
        OutputError: the folder is missing, or `path` is there and is no file.
    """
    try:
        target = Path(os.path.realpath(path))
        folder_exists = target.parent.is_dir()
        is_other = target.exists() and not target.is_file()
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be read
        raise OutputError(f"{path!r} cannot be written: {error}; choose another path.") from error
    if not folder_exists:
        near = near_paths(target.parent)
        meant = f", or did you mean {either(near)}?" if near else "."
        raise OutputError(
            f"{path} cannot be written: there is no folder {target.parent}; make it first{meant}"
        )
    if is_other:
        raise OutputError(
            f"{path} must be a file or not exist yet, received a folder or device; "
            "choose another name."
        )
    return target
