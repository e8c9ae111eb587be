"""A bundle's description.json: written, and checked when it is read."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from lamplighter.errors import BundleError, LamplighterError, ModelError, NewerFormatError
from lamplighter.models import registry
from lamplighter.version import __version__

if TYPE_CHECKING:
    from lamplighter.models.classifier import Architecture, Classifier
    from lamplighter.saving.parity import Parity

FORMAT = 1
_PACKAGES = ("numpy", "torch", "onnx", "onnxscript", "onnxruntime", "safetensors")
_TYPES: dict[str, Any] = {
    "written_by": str,
    "created": str,
    "architecture": dict,
    "class_names": list,
    "preprocessing": dict,
    "record": dict,
    "versions": dict,
    "parity": dict,
    "trust": (dict, type(None)),
    "sha256": dict,
}
_PREPROCESSING_TYPES: dict[str, Any] = {
    "height": int,
    "width": int,
    "channels": int,
    "mean": list,
    "std": list,
    "fit": str,
    "interpolation": str,
    "crop_pct": (float, int),
    "find_digit": bool,
}
_RECORD_TYPES: dict[str, type] = {"recipe": dict, "data": dict, "scores": dict}
_NUMBER = (float, int)
_TRUST_TYPES: dict[str, Any] = {
    "temperature": _NUMBER,
    "neighbours": int,
    "threshold": (*_NUMBER, type(None)),
    "measured": dict,
    "reference": (str, type(None)),
}
_SHA256_TYPES: dict[str, Any] = {
    "weights": str,
    "graph": (str, type(None)),
    "description": str,
}


def describe_classifier(
    classifier: Classifier,
    parity: Parity,
    *,
    weights: bytes,
    graph: bytes | None,
    trust: dict[str, Any] | None = None,
) -> bytes:
    """Return the description of `classifier` as JSON, with checksums of all that a bundle holds.

    Of a bundle without a graph the checksum of that is null, and "parity" tells the "failure".

    Raises:
        BundleError: the record of the classifier holds something that JSON cannot.
    """
    record = classifier.record
    values: dict[str, Any] = {
        "format": FORMAT,
        "written_by": f"lamplighter {__version__}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "architecture": _architecture(classifier),
        "class_names": list(classifier.class_names),
        "preprocessing": classifier.preprocessing.to_dict(),
        "record": {"recipe": record.recipe, "data": record.data, "scores": record.scores},
        "versions": _versions(),
        "parity": asdict(parity),
        "trust": trust,
        "sha256": {
            "weights": sha256(weights),
            "graph": None if graph is None else sha256(graph),
        },
    }
    try:
        values = json.loads(json.dumps(values, allow_nan=False))  # tuples and keys as JSON has them
        values["sha256"]["description"] = sha256(_canonical(values))
        content = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False).encode()
        read_description(content)  # what is written can be read
    except LamplighterError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(
            f"a bundle can hold plain JSON values alone, received others in the record, class "
            f"names or arguments: {error}; turn them into str, int, finite float, list or dict."
        ) from error
    return content


def read_description(content: bytes) -> dict[str, Any]:
    """Return the description in `content` after checking every type and the checksum.

    Raises:
        NewerFormatError: it was written by a later version of Lamplighter.
        BundleError: it is damaged.
    """
    try:
        values = json.loads(
            content.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise _damaged(f"it is not JSON: {error}") from error
    if not isinstance(values, dict) or type(values.get("format")) is not int:
        raise _damaged("it has no format number")
    if values["format"] > FORMAT:
        raise NewerFormatError(
            f"it was written by a later version of Lamplighter (format {values['format']}, this "
            f"version reads {FORMAT}); update Lamplighter from where you have it."
        )
    if values["format"] != FORMAT:
        raise _damaged(f"there is no format {values['format']}")
    # Bundles of the first version had no trust.
    _check_types({"trust": None, **values}, {"format": int, **_TYPES}, "the description")
    # Bundles of the first version had no crop_pct.
    preprocessing = {"crop_pct": 1.0, **values["preprocessing"]}
    _check_types(preprocessing, _PREPROCESSING_TYPES, "preprocessing")
    if not _is_finite(preprocessing["crop_pct"]):
        raise _damaged("crop_pct must be a finite number")
    _check_types(values["record"], _RECORD_TYPES, "record")
    _check_types(values["sha256"], _SHA256_TYPES, "sha256")
    _check_values(values)
    sums = values["sha256"]
    unsigned = values | {"sha256": {"weights": sums["weights"], "graph": sums["graph"]}}
    try:
        expected = sha256(_canonical(unsigned))
    except ValueError as error:  # a lone surrogate has no UTF-8
        raise _damaged(str(error)) from error
    if expected != sums["description"]:
        raise _damaged("its checksum does not fit it")
    return {"trust": None, **values}


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _check_values(values: dict[str, Any]) -> None:
    names = values["class_names"]
    if not all(isinstance(name, str) for name in names):
        raise _damaged("a class name is not a string")
    for key in ("mean", "std"):
        numbers = values["preprocessing"][key]
        if not all(type(number) in (int, float) and _is_finite(number) for number in numbers):
            raise _damaged(f"{key} must hold finite numbers")
    if not all(isinstance(value, str) for value in values["record"]["data"].values()):
        raise _damaged("the fingerprints of the data must be strings")
    trust = values.get("trust")
    if trust is not None:
        _check_types(trust, _TRUST_TYPES, "trust")
        if not all(_is_finite(trust[key] or 0) for key in ("temperature", "threshold")):
            raise BundleError(
                "its trust is damaged: temperature and threshold must be finite numbers; save the "
                "classifier again."
            )
        if (trust["reference"] is None) != (trust["threshold"] is None):
            raise _damaged("trust must have a reference and a threshold, or neither")
    architecture = values["architecture"]
    wanted: dict[str, Any] = (
        {"class": str} if architecture.get("name") is None else {"arguments": dict}
    )
    if "plugin" in architecture:  # of a network that is none of Lamplighter's own
        wanted["plugin"] = str
    _check_types(architecture, {"name": (str, type(None)), **wanted}, "architecture")


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond all floats
        return False


def _check_types(values: dict[str, Any], types: dict[str, Any], where: str) -> None:
    if values.keys() != types.keys():
        raise _damaged(
            f"{where} must have the keys {', '.join(types)}, received {', '.join(values)[:200]}"
        )
    for key, wanted in types.items():
        is_bool = isinstance(values[key], bool)  # which Python takes for a number
        if not isinstance(values[key], wanted) or (is_bool and wanted is not bool):
            raise _damaged(f"{key} in {where} is a {type(values[key]).__name__}")


def _architecture(classifier: Classifier) -> dict[str, Any]:
    architecture = classifier.architecture
    if architecture is not None:
        named = {"name": architecture.name, "arguments": dict(architecture.arguments)}
        plugin = architecture.plugin or _plugin_of(architecture)
        return named if plugin is None else {**named, "plugin": plugin}
    if classifier.missing is not None:
        return dict(classifier.missing)
    owned = type(classifier.network)
    return {"name": None, "class": f"{owned.__module__}.{owned.__qualname__}"}


def _plugin_of(architecture: Architecture) -> str | None:
    try:
        return registry.plugin_of(architecture.name, architecture.arguments)
    except ModelError:  # it is known by its bundle alone
        return None


def _canonical(values: dict[str, Any]) -> bytes:
    """Return the one text of `values` that a checksum is taken of."""
    text = json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def _versions() -> dict[str, str]:
    from importlib import metadata  # slow to import, and not needed to load

    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "unknown"
    return versions


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is there twice")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _damaged(reason: str) -> BundleError:
    return BundleError(f"its description is damaged: {reason}; save the classifier again.")
