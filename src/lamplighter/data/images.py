"""Image files, read safely: whatever is in the file, an 8-bit image or one clear error."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from lamplighter.errors import ImageError

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray

_EXIF_ORIENTATION = 0x0112
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
# catch_warnings restores what it found: two threads inside it at once would restore one another's.
_warnings_lock = threading.Lock()


def open_image(path: str | Path) -> Image.Image:
    """Return the image in the file `path`, decoded, upright and 8-bit: mode L, RGB or RGBA.

    Of an animation the first frame is read. Safe to call from several threads.

    Raises:
        ImageError: there is no such file, it cannot be read, it is not an image, it is damaged
            or cut short, or it is so large that decoding could exhaust the memory.
    """
    path = Path(path)
    with _open_file(path) as file:
        beginning = file.read(16)
        if not beginning:
            raise ImageError(f"{_name(path)} is empty (0 bytes); fetch or save the image again.")
        file.seek(0)
        try:
            image = _identify(file)
            return as_8_bit(_upright(_decode(image)))
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
        # Decoders meet damaged files with errors of many kinds: OSError, SyntaxError, ValueError,
        # struct.error, EOFError, zlib.error, MemoryError, ...
        except Exception as error:
            raise ImageError(
                f"{_name(path)} must be a whole image, received one that is damaged or cut short "
                f"({_reason(error)}); fetch or save it again."
            ) from error


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
        raise ImageError(f"there is no file {_name(path)}; check the name and folder.") from None
    except PermissionError:
        raise ImageError(f"{_name(path)} may not be read; change its permissions.") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(
            f"{_name(path)} cannot be opened ({_reason(error)}); check the name and the disk."
        ) from error


def _identify(file: BinaryIO) -> Image.Image:
    """Return the image in `file`, its header read, its pixels not yet."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(file)
    if image.format == "EPS":  # a program, which Pillow would have Ghostscript run
        raise ImageError("it is PostScript, a program and not pixels; save it as PNG.")
    return image


def _decode(image: Image.Image) -> Image.Image:
    """Return `image` with its pixels read, of which a file that is cut short has too few."""
    image.load()
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Return `image` turned as its EXIF orientation asks."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # as in _decode; damaged EXIF says nothing about good pixels
        return image
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


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
