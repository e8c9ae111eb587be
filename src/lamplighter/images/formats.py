"""File formats that are not read (raw photos, videos, JPEG XL), and the remedy for each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

# Raw photos of cameras and telephones. Pillow takes many for a TIFF and reads the small preview.
_RAW_SUFFIXES = (
    ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw "
    ".rw2 .rwl .sr2 .srf .srw .x3f"
)
_RAW = frozenset(_RAW_SUFFIXES.split())
_VIDEOS = frozenset({".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".webm"})
_UNFINISHED = frozenset({".crdownload", ".download", ".icloud", ".part", ".partial"})
_REDUCED, _DNG_VERSION = 254, 50706  # tags of TIFF: NewSubfileType and DNGVersion
HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1")
)
INSTALL_HEIF = "pip install pi-heif"

NO_IMAGE_NAME = "not an image by its name"  # the beginning of a reason to set a file aside
NO_IMAGE_REASON = f"{NO_IMAGE_NAME}; give it the suffix of its format if it is one."


@dataclass(frozen=True)
class Unread:
    """A kind of file that is not read.

    Attributes:
        what: it is, such as "a video".
        mend: what to do about it.
    """

    what: str
    mend: str


_JPEG_XL = Unread("a JPEG XL photo, which is not read", "save it as JPEG or PNG")
_RAW_PHOTO = Unread(
    "a raw photo, of which only its small preview could be read", "export it as JPEG"
)
_VIDEO = Unread("a video", "of a Live Photo the photo lies beside it; of others save one picture")
_PAGE = Unread("a web page, as a failed download leaves one", "fetch the image again")
_DRAWING = Unread("a drawing of lines (SVG)", "export it as PNG")
# What files begin with, after white space for those of text.
_BINARY = (
    (b"\xff\x0a", _JPEG_XL),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", _JPEG_XL),
    (b"FUJIFILMCCD-RAW", _RAW_PHOTO),
    (b"IIRO", _RAW_PHOTO),
    (b"IIRS", _RAW_PHOTO),
    (b"MMOR", _RAW_PHOTO),
    (b"IIU\0", _RAW_PHOTO),
    (b"FOVb", _RAW_PHOTO),
    (b"\x00MRM", _RAW_PHOTO),
    (b"\x1aE\xdf\xa3", _VIDEO),
    (b"%PDF", Unread("a PDF", "save its page as PNG")),
    (b"PK\x03\x04", Unread("a zip file", "unpack it")),
    (b"version https://git-lfs", Unread("a pointer of Git LFS to the image", "run git lfs pull")),
)
_TEXT = ((b"<svg", _DRAWING), (b"<!doctype", _PAGE), (b"<html", _PAGE), (b"<head", _PAGE))


def unread_content(beginning: bytes) -> Unread | None:
    """Return what a file is that is no image which Pillow reads; None where that is not known.

    Args:
        beginning: its first bytes, some hundred.
    """
    if beginning[4:8] == b"ftyp" and beginning[8:12] not in HEIF_BRANDS:
        return _RAW_PHOTO if beginning[8:12] == b"crx " else _VIDEO
    for start, unread in _BINARY:
        if beginning.startswith(start):
            return unread
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<?xml"):
        return _DRAWING if b"<svg" in text else None
    return next((unread for start, unread in _TEXT if text.startswith(start)), None)


def is_heif(beginning: bytes) -> bool:
    """Return whether a file with these first bytes is HEIC or another HEIF."""
    return beginning[4:8] == b"ftyp" and beginning[8:12] in HEIF_BRANDS


def is_raw_photo(image: Image.Image, name: str) -> Unread | None:
    """Return what a raw photo is, where Pillow opened the preview in it as a TIFF; else None.

    Args:
        image: with its header read.
        name: of its file; "" where it has none.
    """
    if image.format != "TIFF":
        return None
    tags = image.tag_v2  # type: ignore[attr-defined]
    reduced = tags.get(_REDUCED, 0)
    preview = isinstance(reduced, int) and bool(reduced & 1)
    return _RAW_PHOTO if preview or _DNG_VERSION in tags or _suffix(name) in _RAW else None


def reason_by_name(name: str) -> str | None:
    """Return why the file `name` is not read as an image, judging by its suffix; None if unknown.

    The reason of a video says that it is no image, as that of a text does; those of photos do
    not, since they are missing from what is learned.
    """
    suffix = _suffix(name)
    if suffix in _RAW:
        return "a raw photo, which is not read; export it as JPEG."
    if suffix == ".jxl":
        return f"{_JPEG_XL.what}; {_JPEG_XL.mend}."
    if suffix in _UNFINISHED:
        return "not fetched to its end; fetch it again."
    if suffix in _VIDEOS:
        return f"{NO_IMAGE_NAME}: {_VIDEO.what}; {_VIDEO.mend}."
    return None


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a name
