"""Decoding of image files: any file gives an upright 8-bit image, or one clear error."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from lamplighter.errors import ImageError, LamplighterError, MissingImageError
from lamplighter.files.naming import as_given
from lamplighter.images.formats import INSTALL_HEIF, is_heif, is_raw_photo, unread_content
from lamplighter.machine import free_memory
from lamplighter.names import no_such_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    Size = tuple[int, int]  # width, height

_EXIF_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # the orientations under which width and height change places
# What undoes each EXIF orientation; 1 means upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# A few bytes of a file can ask for any number of pixels. What decoding takes is known from the
# header, and an image that takes more is refused: 268 million pixels in colour, or as many of a
# JPEG after it is decoded at a reduced scale.
MOST_BYTES = 2**30
# Whatever it takes: reading through so many costs minutes.
MOST_PIXELS = 2**30
# Larger images are decoded one at a time, whatever the threads: by bytes, and by pixels, of which
# Pillow warns again while it decodes.
_LARGE_BYTES, _LARGE_PIXELS = 2**28, 2**26
_SMALL = 2**26  # bytes of an image that may be taken without a look at the free memory
_COPIES = 3  # of an image in memory while it is turned upright and brought to 8 bits
UNNAMED = "the image given as bytes"  # what it is called in messages
_BEGINNING = 512  # bytes that tell what a file is
# Bytes a pixel takes in Pillow's memory; wide ones are brought to 8 bits in float64.
_BYTES = {"1": 1, "L": 1, "I": 8, "F": 8}
_JPEGS = ("JPEG", "MPO")
_START_OF_SCAN = 0xDA
_ADDRESS = re.compile(r"(https?|ftp|s3|gs|file):/+", re.IGNORECASE)
_process_lock = threading.Lock()


def open_image(
    source: str | Path | bytes, *, at_least: Size | Callable[[Size], Size] | None = None
) -> Image.Image:
    """Return the image in a file, decoded, upright and 8-bit: mode L, RGB or RGBA.

    Of an animation the first frame is read. Safe to call from several threads.

    Args:
        source: the file, or the bytes in it.
        at_least: the (width, height) that are enough. A JPEG is then decoded at the smallest of
            the scales 1, 1/2, 1/4 and 1/8 that has as many, which takes a fraction of the time;
            other formats are decoded whole. May be a function that is given the image's own
            upright (width, height).

    Raises:
        ImageError: there is no such file, it cannot be read, it is not an image, it is damaged
            or cut short, or its pixels take more than `MOST_BYTES` or a third of the free memory.
    """
    with _opened(source) as (file, name), _explained(name, file):
        image = _identify(file, name)
        size, kept = image.size, _coefficient_bytes(image, file)
        if at_least is not None and image.format in _JPEGS:
            _scale_down(image, at_least)
        needed = _pixel_bytes(image) + kept
        _check_memory(size, needed)
        large = needed >= _LARGE_BYTES or image.width * image.height >= _LARGE_PIXELS
        with _unlimited() if large else contextlib.nullcontext():
            # Before anything asks for EXIF, which may follow the pixels of a PNG: Pillow would
            # decode for it, and only `_orientation` would learn of damage.
            decoded = _decode(image)
            if callable(at_least) and image.format not in _JPEGS:
                at_least(_upright_size(decoded))
            return as_8_bit(_upright(decoded))


def image_size(path: str | Path) -> Size:
    """Return (width, height) of the image in the file `path`, upright, from its header alone.

    Raises:
        ImageError: as `open_image`, of which damage beyond the header stays unseen.
    """
    with _opened(path) as (file, name), _explained(name, file):
        image = _identify(file, name)
        if image.format not in _JPEGS:  # of which Pillow decodes some to find their EXIF
            _check_memory(image.size, _pixel_bytes(image))
        return _upright_size(image)


@contextmanager
def within_memory() -> Iterator[None]:
    """Turn a lack of memory for one image into an error about that image; others may fit.

    Raises:
        ImageError: what is done within needs more memory than there is.
    """
    try:
        yield
    except MemoryError as error:
        raise ImageError(
            "the image needs more memory than there is; scale it down first.", fault="too-large"
        ) from error


def reason_alone(error: ImageError, path: str | Path) -> str:
    """Return what `error` says of the file `path`, without naming it."""
    return str(error).removeprefix(f"{_shown(path)} ")


def as_8_bit(image: Image.Image) -> Image.Image:
    """Return `image` in mode L, RGB or RGBA, whatever its mode.

    16-bit grey is divided by 257. Integers and floats of 32 bits stay as they are where they
    fit in 0..255, floats in 0..1 are multiplied by 255, all else is stretched from its own
    minimum..maximum to 0..255.

    Raises:
        ImageError: the image has no pixels, or some that are not finite.
    """
    if image.width == 0 or image.height == 0:
        raise ImageError(
            f"an image needs at least 1 x 1 pixels, received {image.width} x {image.height}; "
            "save it again."
        )
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.float64)  # (H, W)
        result = Image.fromarray((wide / 257).round().astype(np.uint8))
    elif image.mode in ("I", "F"):
        result = Image.fromarray(_stretched(np.asarray(image).astype(np.float64)))
    elif image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None  # only with inPlace=True
        result = converted
    elif image.mode == "La":  # which Pillow converts to LA alone
        result = image.convert("LA").convert("RGBA")
    elif image.has_transparency_data:
        result = image.convert("RGBA")
    else:
        result = image.convert("L" if image.mode in ("1", "L") else "RGB")
    result = result.copy() if result is image else result
    result.info = {}  # what Pillow noted there, such as an orientation, no longer holds
    return result


def flatten_alpha(image: Image.Image) -> Image.Image:
    """Return `image` laid on white where it has an alpha channel (RGBA, LA), else as it is."""
    if image.mode not in ("RGBA", "LA"):
        return image
    return lay_on(image, 255)


def lay_on(image: Image.Image, grey: int) -> Image.Image:
    """Return `image`, of mode RGBA or LA, laid on a ground of `grey` (0..255): RGB or L."""
    opaque_mode = image.mode.removesuffix("A")
    ground = Image.new(opaque_mode, image.size, (grey,) * len(opaque_mode))
    ground.paste(image.convert(opaque_mode), mask=image.getchannel("A"))
    return ground


@contextmanager
def _opened(source: str | Path | bytes) -> Iterator[tuple[BinaryIO, str]]:
    """Give the file `source`, opened, and what it is called in messages."""
    if isinstance(source, bytes):
        yield io.BytesIO(source), UNNAMED
        return
    with _open_file(source) as file:
        yield file, _shown(source)


def _open_file(source: str | Path) -> BinaryIO:
    """Return a file, opened; only a regular file, since a pipe would block for ever."""
    path, name = Path(source), _shown(source)
    try:
        if path.is_dir():
            raise ImageError(f"{name} must be an image file, received a folder; name a file.")
        if path.exists() and not path.is_file():
            raise ImageError(f"{name} must be a regular file; copy the image into one.")
        return path.open("rb")
    except LamplighterError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        if _ADDRESS.match(name):
            raise ImageError(
                f"{name} is an address, and a file is needed; fetch the image first."
            ) from None
        raise MissingImageError(no_such_path("file", as_given(path))) from None
    except PermissionError:
        raise ImageError(f"{name} may not be read; change its permissions.") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(
            f"{name} cannot be opened ({_reason(error)}); check the name and the disk."
        ) from error


@contextmanager
def _explained(name: str, file: BinaryIO) -> Iterator[None]:
    """Turn whatever goes wrong with the image in `file` into one clear error."""
    beginning = file.read(_BEGINNING)
    if not beginning:
        raise ImageError(
            f"{name} is empty (0 bytes); fetch or save the image again.", fault="empty"
        )
    file.seek(0)
    try:
        yield
    except UnidentifiedImageError:
        raise _no_image(name, beginning) from None
    except ImageError as error:
        raise ImageError(f"{name} cannot be used: {error}", fault=error.fault) from error
    except MemoryError as error:
        raise ImageError(
            f"{name} needs more memory than there is; scale it down first, or fetch it again if "
            "it should be small.",
            fault="too-large",
        ) from error
    # Decoders meet damaged files with errors of many kinds: OSError, SyntaxError, ValueError,
    # struct.error, EOFError, zlib.error, ... Their words mean little to whoever has the file.
    except Exception as error:
        raise ImageError(
            f"{name} must be a complete image in a common format, received one that is damaged or "
            "cut short, or in a rare format; fetch it again, or save it as PNG or JPEG.",
            fault="damaged",
        ) from error


def _no_image(name: str, beginning: bytes) -> ImageError:
    """Return the error of a file that Pillow does not know."""
    unread = unread_content(beginning)
    if unread is None:
        return ImageError(
            f"{name} must be an image such as PNG or JPEG, received a file that begins "
            f"{beginning[:16]!r}; look at what it is, or save it in one of these formats.",
            fault="not-an-image",
        )
    return ImageError(
        f"{name} must be an image such as PNG or JPEG, received {unread.what}; {unread.mend}.",
        fault="not-read",
    )


def _register_heif() -> None:
    """Teach Pillow to open the photos of telephones, if the package for it is there."""
    try:
        import pi_heif
    except ModuleNotFoundError:
        raise ImageError(
            "it is HEIC, the format of phone photos, and the package that reads it is not "
            f"installed; {INSTALL_HEIF}, or save it as JPEG.",
            fault="needs-package",
        ) from None
    with _process_lock:
        if "HEIF" not in Image.OPEN:
            pi_heif.register_heif_opener()


@contextmanager
def _unlimited() -> Iterator[None]:
    """Lift Pillow's limit of pixels, which is the process's, in one thread at a time.

    `_check_memory` decides in its place: that of Pillow refuses photos of telephones.
    """
    with _process_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _open_header(file: BinaryIO) -> Image.Image:
    with _unlimited():
        return Image.open(file)


def _identify(file: BinaryIO, name: str) -> Image.Image:
    """Return the image in `file`, its header read, its pixels not yet."""
    try:
        image = _open_header(file)
    except UnidentifiedImageError:
        file.seek(0)
        if not is_heif(file.read(12)):
            raise
        _register_heif()
        file.seek(0)
        image = _open_header(file)
    if image.format == "EPS":  # a program, which Pillow would have Ghostscript run
        raise ImageError(
            "it is PostScript, a program and not pixels; save it as PNG.", fault="not-read"
        )
    raw = is_raw_photo(image, name)
    if raw is not None:
        raise ImageError(f"it is {raw.what}; {raw.mend}.", fault="not-read")
    return image


def _pixel_bytes(image: Image.Image) -> int:
    """Return how many bytes the pixels of `image` take, at the scale at which it is decoded."""
    mode = "I" if image.mode.startswith("I;16") else image.mode
    bytes_each = 8 if image.format == "WEBP" else _BYTES.get(mode, 4)  # its canvas comes twice
    return image.width * image.height * bytes_each


def _coefficient_bytes(image: Image.Image, file: BinaryIO) -> int:
    """Return how many bytes libjpeg takes for a JPEG beside its pixels.

    Of a JPEG in several scans, a progressive one among them, it keeps two bytes for each sample of
    the whole image until the last scan, at whatever scale it decodes; of another next to nothing.
    """
    if image.format not in _JPEGS or _is_in_one_scan(image, file):
        return 0
    samples = [(across, down) for _, across, down, _ in image.layer]  # type: ignore[attr-defined]
    most = max(across for across, _ in samples) * max(down for _, down in samples)
    shares = sum(across * down for across, down in samples) / max(most, 1)
    return int(2 * shares * image.width * image.height)


def _is_in_one_scan(image: Image.Image, file: BinaryIO) -> bool:
    """Return whether the first scan of a JPEG is the only one; False where that is not plain."""
    if image.info.get("progressive"):
        return False
    position = file.tell()
    file.seek(2)
    try:
        while True:
            head = file.read(4)
            if len(head) < 4 or head[0] != 0xFF or not 0xC0 <= head[1] < 0xFF:
                return False
            if head[1] == _START_OF_SCAN:
                return file.read(1) == bytes([image.layers])  # type: ignore[attr-defined]
            file.seek(int.from_bytes(head[2:]) - 2, io.SEEK_CUR)
    finally:
        file.seek(position)


def _check_memory(size: Size, needed: int) -> None:
    """Refuse an image whose decoding takes too much, before it is decoded.

    Args:
        size: of the whole image, in pixels.
        needed: bytes.

    Raises:
        ImageError: it has more than `MOST_PIXELS`, or takes more than `MOST_BYTES` or than a
            third of the free memory.
    """
    width, height = size
    received = f"received {width:,} x {height:,} pixels"
    if width * height > MOST_PIXELS:
        raise ImageError(
            f"an image may have at most {MOST_PIXELS:,} pixels, {received}; scale it down first.",
            fault="too-large",
        )
    most, whose = MOST_BYTES, ""
    if needed >= _SMALL:
        free = free_memory()
        if free is not None and free // _COPIES < most:
            most, whose = free // _COPIES, ", a third of what is free"
    if needed > most:
        raise ImageError(
            f"an image may take at most {most / 1e9:.2f} GB of memory{whose}, {received}, which "
            f"take {needed / 1e9:.2f} GB; scale it down first.",
            fault="too-large",
        )


def _scale_down(image: Image.Image, at_least: Size | Callable[[Size], Size]) -> None:
    """Have a JPEG decoded at a reduced scale that is still `at_least` so large when upright."""
    width, height = at_least(_upright_size(image)) if callable(at_least) else at_least
    width, height = max(1, width), max(1, height)  # Pillow divides by them
    image.draft(None, (height, width) if _lies(image) else (width, height))


def _decode(image: Image.Image) -> Image.Image:
    """Return `image` with its pixels read, of which a file that is cut short has too few."""
    image.load()
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Return `image` turned as its EXIF orientation asks."""
    orientation = _orientation(image)
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _upright_size(image: Image.Image) -> Size:
    """Return (width, height) that `image`, not decoded yet, will have when upright."""
    width, height = image.size
    return (height, width) if _lies(image) else (width, height)


def _lies(image: Image.Image) -> bool:
    """Return whether `image`, not decoded yet, is to be turned by 90 degrees."""
    # Of a TIFF Pillow gives the upright size, and turns it itself when decoding.
    return image.format != "TIFF" and _orientation(image) in _TURNED


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of `image`; 1 means upright."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # as above; damaged EXIF says nothing about good pixels
        return 1


def _stretched(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return `values` (H, W) on the scale 0..255."""
    if not np.isfinite(values).all():
        raise ImageError("pixels must be finite, received NaN or infinity; replace them first.")
    low, high = values.min(), values.max()
    if low < 0 or high > 255:
        values = (values - low) * (255 / (high - low)) if high > low else values.clip(0, 255)
    elif 0 < high <= 1 and values.dtype.kind == "f":
        values = values * 255
    return values.round().astype(np.uint8)


def _shown(source: str | Path) -> str:
    """Return a path on one line, whatever characters it has; an address with both its slashes."""
    text = as_given(source)
    # A Path has one slash where an address has two, and that of a file three.
    if found := _ADDRESS.match(text):
        slashes = "///" if found[1].lower() == "file" else "//"
        text = f"{found[1]}:{slashes}{text[found.end() :]}"
    return text if text.isprintable() else repr(text)


def _reason(error: Exception) -> str:
    """Return what `error` says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
