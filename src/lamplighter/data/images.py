"""Image files, read safely: whatever is in the file, an 8-bit image or one clear error."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from lamplighter.errors import ImageError
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
# What a HEIF file says of itself after "ftyp".
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# catch_warnings restores what it found: two threads inside it at once would restore one another's.
_process_lock = threading.Lock()


def open_image(
    path: str | Path, *, at_least: Size | Callable[[Size], Size] | None = None
) -> Image.Image:
    """Return the image in the file `path`, decoded, upright and 8-bit: mode L, RGB or RGBA.

    Of an animation the first frame is read. Safe to call from several threads.

    Args:
        path: the file.
        at_least: the (width, height) that are enough. A JPEG is then decoded at the smallest of
            the scales 1, 1/2, 1/4 and 1/8 that has as many, which takes a fraction of the time;
            other formats are decoded whole. May be a function that is given the image's own
            upright (width, height).

    Raises:
        ImageError: there is no such file, it cannot be read, it is not an image, it is damaged
            or cut short, or it is so large that decoding could exhaust the memory.
    """
    path = Path(path)
    with _open_file(path) as file, _explained(path, file):
        image = _identify(file)
        if at_least is not None:
            _scale_down(image, at_least)
        return as_8_bit(_upright(_decode(image)))


def image_size(path: str | Path) -> Size:
    """Return (width, height) of the image in the file `path`, upright, from its header alone.

    Raises:
        ImageError: as `open_image`, of which damage beyond the header stays unseen.
    """
    path = Path(path)
    with _open_file(path) as file, _explained(path, file):
        return _upright_size(_identify(file))


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
            "the image needs more memory than there is; scale it down first."
        ) from error


def reason_alone(error: ImageError, path: str | Path) -> str:
    """Return what `error` says of the file `path`, without naming it."""
    return str(error).removeprefix(f"{_name(Path(path))} ")


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


def _open_file(path: Path) -> BinaryIO:
    """Return the file `path`, opened; only a regular file, since a pipe would block for ever."""
    try:
        if path.is_dir():
            raise ImageError(
                f"{_name(path)} must be an image file, received a folder; name a file."
            )
        if path.exists() and not path.is_file():
            raise ImageError(f"{_name(path)} must be a regular file; copy the image into one.")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(no_such_path("file", path)) from None
    except PermissionError:
        raise ImageError(f"{_name(path)} may not be read; change its permissions.") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(
            f"{_name(path)} cannot be opened ({_reason(error)}); check the name and the disk."
        ) from error


@contextmanager
def _explained(path: Path, file: BinaryIO) -> Iterator[None]:
    """Turn whatever goes wrong with the image in `file` into one clear error."""
    beginning = file.read(16)
    if not beginning:
        raise ImageError(f"{_name(path)} is empty (0 bytes); fetch or save the image again.")
    file.seek(0)
    try:
        yield
    except UnidentifiedImageError:
        raise ImageError(
            f"{_name(path)} must be an image such as PNG or JPEG, received a file that begins "
            f"{beginning!r}; save it in one of these formats."
        ) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{_name(path)} must have at most {Image.MAX_IMAGE_PIXELS:,} pixels, received more "
            f"({_reason(error)}); scale it down first."
        ) from error
    except ImageError as error:
        raise ImageError(f"{_name(path)} cannot be used: {error}") from error
    except MemoryError as error:
        raise ImageError(
            f"{_name(path)} needs more memory than there is; scale it down first, or fetch it "
            "again if it should be small."
        ) from error
    # Decoders meet damaged files with errors of many kinds: OSError, SyntaxError, ValueError,
    # struct.error, EOFError, zlib.error, ...
    except Exception as error:
        raise ImageError(
            f"{_name(path)} must be a whole image, received one that is damaged or cut short "
            f"({_reason(error)}); fetch or save it again."
        ) from error


def _register_heif() -> None:
    """Teach Pillow to open the photos of telephones, if the package for it is there."""
    try:
        import pi_heif
    except ModuleNotFoundError:
        raise ImageError(
            "it is HEIF, which needs a package more; pip install pi-heif, or save it as JPEG."
        ) from None
    with _process_lock:
        if "HEIF" not in Image.OPEN:
            pi_heif.register_heif_opener()


def _open_header(file: BinaryIO) -> Image.Image:
    with _process_lock, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file)


def _identify(file: BinaryIO) -> Image.Image:
    """Return the image in `file`, its header read, its pixels not yet."""
    try:
        image = _open_header(file)
    except UnidentifiedImageError:
        file.seek(0)
        beginning = file.read(12)
        if beginning[4:8] != b"ftyp" or beginning[8:] not in _HEIF_BRANDS:
            raise
        _register_heif()
        image = _open_header(file)
    if image.format == "EPS":  # a program, which Pillow would have Ghostscript run
        raise ImageError("it is PostScript, a program and not pixels; save it as PNG.")
    return image


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


def _name(path: Path) -> str:
    """Return `path` on one line, whatever characters it has."""
    return str(path) if str(path).isprintable() else repr(str(path))


def _reason(error: Exception) -> str:
    """Return what `error` says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
