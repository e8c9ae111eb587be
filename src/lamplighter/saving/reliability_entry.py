"""The trust of a classifier in a bundle: numbers in the description, vectors in an entry."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import BundleError, ModelError
from lamplighter.inference.runtime import runtime
from lamplighter.models.reliability import Trust

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.models.classifier import Classifier

MAX_REFERENCE = 64 * 2**20  # bytes
_VERSION = (1, 0)  # of the .npy format
_MAX_HEADER = 1000  # bytes


def described(trust: Trust | None) -> tuple[dict[str, Any] | None, bytes | None]:
    """Return what the description says of `trust`, and the reference as a .npy file.

    Raises:
        BundleError: the reference is too large for a bundle.
    """
    if trust is None:
        return None, None
    content = None if trust.reference is None else _npy(trust.reference)
    values = {
        "temperature": float(trust.temperature),
        "neighbours": int(trust.neighbours),
        "threshold": None if trust.threshold is None else float(trust.threshold),
        "measured": trust.measured,
        "reference": None if content is None else hashlib.sha256(content).hexdigest(),
    }
    return values, content


def check_fits(classifier: Classifier) -> None:
    """Refuse a trust whose reference is not of features such as the network gives.

    Raises:
        BundleError: they have another width, or the network has none.
    """
    trust = classifier.trust
    if trust is None or trust.reference is None:
        return
    received, wanted = trust.reference.shape[1], runtime(classifier).num_features
    if received != wanted:
        raise BundleError(
            f"the trust of a classifier must be of its own network, which gives {wanted or 'no'} "
            f"features an image, received a reference of {received}; make it anew with add_trust."
        )


def has_reference(values: dict[str, Any] | None) -> bool:
    """Return whether a bundle whose description says this of its trust has a reference."""
    return values is not None and values["reference"] is not None


def restored(values: dict[str, Any] | None, content: bytes | None) -> Trust | None:
    """Return the trust that `described` was given, from values that were checked for types.

    Raises:
        BundleError: the reference is missing, damaged or does not fit, or a value is out of range.
    """
    if values is None:
        return None
    reference = None
    if content is not None:
        if hashlib.sha256(content).hexdigest() != values["reference"]:
            raise BundleError("reference.npy does not fit its checksum; copy the file again.")
        reference = _vectors(content).astype(np.float32)
    try:
        return Trust(
            float(values["temperature"]),
            reference,
            values["neighbours"],
            None if values["threshold"] is None else float(values["threshold"]),
            values["measured"],
        )
    except (ModelError, OverflowError) as error:
        raise BundleError(f"its trust is damaged: {error}") from error


def _npy(reference: NDArray[np.float32]) -> bytes:
    rows, width = reference.shape
    if reference.size * 2 > MAX_REFERENCE - _MAX_HEADER:
        raise BundleError(
            f"the reference of a classifier's trust must be at most {MAX_REFERENCE // 2**20} MB, "
            f"received {rows:,} vectors of {width:,} numbers; keep fewer training images."
        )
    file = io.BytesIO()
    halves = np.ascontiguousarray(reference, dtype="<f2")
    np.lib.format.write_array(file, halves, version=_VERSION, allow_pickle=False)
    return file.getvalue()


def _vectors(content: bytes) -> NDArray[np.float16]:
    """Return the array in a .npy file; its header is checked before any memory is taken.

    Raises:
        BundleError: it is not a float16 array of shape (M, D) of just this length.
    """
    file = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(file) != _VERSION:
            raise ValueError("it is of another version")
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(
            file, max_header_size=_MAX_HEADER
        )
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        first = (str(error).splitlines() or [""])[0][:100]
        raise _damaged(f"it is no .npy file: {first}") from error
    sizes = all(type(size) is int and size > 0 for size in shape)
    if dtype != np.dtype("<f2") or len(shape) != 2 or not sizes or by_column:
        raise _damaged(f"it must hold float16 of shape (M, D), received {dtype} of shape {shape}")
    if len(content) - file.tell() != shape[0] * shape[1] * dtype.itemsize:
        raise _damaged(f"its length does not fit its shape {shape}")
    file.seek(0)
    vectors: NDArray[np.float16] = np.load(file, allow_pickle=False, max_header_size=_MAX_HEADER)
    return vectors


def _damaged(reason: str) -> BundleError:
    return BundleError(f"reference.npy is damaged: {reason[:200]}; save the classifier again.")
