"""`save` and `load`: a classifier as one file of description, weights and ONNX graph."""

from __future__ import annotations

import contextlib
import functools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import (
    BundleError,
    DataError,
    ExportError,
    LamplighterWarning,
    MissingPackageError,
    ModelError,
    NetworkMissingError,
    ParityError,
)
from lamplighter.files.writing import check_bundle_target, is_other_model
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models import registry
from lamplighter.models.classifier import (
    Architecture,
    Classifier,
    Record,
    build_network,
    check_classifier,
)
from lamplighter.saving import reliability_entry as trusting
from lamplighter.saving.archive import (
    DESCRIPTION,
    GRAPH,
    REFERENCE,
    WEIGHTS,
    opened,
    write_archive,
)
from lamplighter.saving.description import describe_classifier, read_description, sha256
from lamplighter.saving.parity import Parity, proven_graph
from lamplighter.saving.tracing import needs_training_packages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import nn

_PRECISION = "precision"  # in a record's recipe


def save(classifier: Classifier, path: str | Path, *, needs_graph: bool = False) -> Path:
    """Write `classifier` to one file, proven to answer as it does, and return the path.

    The file holds the weights and an ONNX graph that has been compared with the torch network on
    the classifier's samples (synthetic images if it has none); where a head was joined to a graph
    that had been proven before, with the head alone. Of a bundle that was loaded without the
    network of its owner, weights, graph and proof are taken over. A file at `path` is replaced, in
    one step and only when all is written.

    What was learned is never thrown away for want of a graph: where there is none, or none that
    can be proven, the bundle is written without it, and a `LamplighterWarning` says why. Such a
    bundle answers with torch; `export` tries again.

    Args:
        classifier: what to save; its network stays as it is.
        path: the file to write, by custom NAME.lamp.
        needs_graph: write nothing where there is no graph that can be proven.

    Raises:
        OutputError: the file cannot be written, or its name is that of another kind of model.
        ParityError: `needs_graph`, and graph and network disagree.
        ExportError: `needs_graph`, and the network cannot be exported.
        ModelError: weights are NaN.
        ClassCountError: the network does not give a score for each class.
        BundleError: the record holds something that JSON cannot, or the trust is that of another
            network.
        MissingPackageError: torch, onnx or safetensors is not installed.
    """
    check_classifier(classifier, "save")
    check_bundle_target(path)
    with needs_training_packages("saving a classifier"):
        weights = _serialised(classifier)
        trusting.check_fits(classifier)
    graph, parity = _graph_or_why_not(classifier, needs_graph=needs_graph)
    trust, reference = trusting.described(classifier.trust)
    description = describe_classifier(classifier, parity, weights=weights, graph=graph, trust=trust)
    parts = {DESCRIPTION: description, WEIGHTS: weights, GRAPH: graph, REFERENCE: reference}
    write_archive(path, {name: part for name, part in parts.items() if part is not None})
    if parity.failure is not None:
        message = _without_graph(classifier, path, parity.failure)
        warnings.warn(message, LamplighterWarning, stacklevel=2)
    return Path(path)


def _graph_or_why_not(classifier: Classifier, *, needs_graph: bool) -> tuple[bytes | None, Parity]:
    """Return a proven graph, or None and the reason why there is none."""
    failure = (classifier.proof or {}).get("failure")
    if classifier.missing is not None and failure and classifier.graph is None:
        return None, Parity("", None, failure)  # only its owner could try again
    try:
        with needs_training_packages("saving a classifier"):
            return proven_graph(classifier)
    except (ParityError, ExportError, MissingPackageError) as error:
        if needs_graph:
            raise
        return None, Parity("", None, str(error))


def _without_graph(classifier: Classifier, path: str | Path, failure: str) -> str:
    again = f"lamplighter export {path} --format bundle tries again"
    if classifier.architecture is None:  # which Lamplighter cannot build
        again = f"load({str(path)!r}, network=...) takes it back, and save tries again"
    return (
        f"{path} is written without its ONNX graph, so that it answers with torch alone: "
        f"{failure.rstrip('.')}; {again}."
    )


def load(path: str | Path, *, network: nn.Module | None = None) -> Classifier:
    """Return the classifier in the bundle at `path`.

    All that it holds is checked against its checksum, and it may hold nothing else. The classifier
    runs the ONNX graph; its torch network is built when it is first asked for. Nothing in a bundle
    is executed or unpickled.

    Args:
        path: a file that `save` wrote.
        network: a network of your own class for the weights, if the bundle holds one; it is put
            into evaluation mode, and the classifier answers with it.

    Raises:
        BundleError: the file is missing, damaged or no bundle, or the weights do not fit `network`.
        NewerFormatError: it was written by a later version of Lamplighter.
        MissingPackageError: `network` is given and torch or safetensors is not installed.
    """
    with _named(path):
        description, weights, graph, reference = _checked(path)
        classifier = _classifier(description, weights, graph, network, path)
        classifier.trust = trusting.restored(description["trust"], reference)
        classifier.source = str(path)
        return classifier


def precision_note(classifier: Classifier) -> dict[str, str]:
    """Return what the recipe of a classifier says of its precision; nothing of float32."""
    return {} if classifier.precision == "fp32" else {_PRECISION: classifier.precision}


def describe(path: str | Path) -> dict[str, Any]:
    """Return the description of the bundle at `path`, of which all is checked as by `load`.

    Raises:
        BundleError: the file is missing, damaged or no bundle.
        NewerFormatError: it was written by a later version of Lamplighter.
    """
    with _named(path):
        description, _, _, reference = _checked(path)
        Preprocessing.from_dict(description["preprocessing"])  # it can be used
        trusting.restored(description["trust"], reference)
        return description


def _checked(path: str | Path) -> tuple[dict[str, Any], bytes, bytes | None, bytes | None]:
    """Return description, weights, graph and reference, compared with their checksums."""
    with opened(path) as archive:
        description = read_description(archive.read(DESCRIPTION))
        has_graph = description["sha256"]["graph"] is not None
        has_reference = trusting.has_reference(description["trust"])
        archive.check_entries(graph=has_graph, reference=has_reference)
        weights = archive.read(WEIGHTS)
        graph = archive.read(GRAPH) if has_graph else None
        reference = archive.read(REFERENCE) if has_reference else None
    for name, content, key in ((WEIGHTS, weights, "weights"), (GRAPH, graph, "graph")):
        if content is not None and sha256(content) != description["sha256"][key]:
            raise BundleError(f"{name} does not fit its checksum; copy the file again.")
    return description, weights, graph, reference


def _classifier(
    description: dict[str, Any],
    weights: bytes,
    graph: bytes | None,
    network: nn.Module | None,
    path: str | Path,
) -> Classifier:
    preprocessing = Preprocessing.from_dict(description["preprocessing"])
    names, named = description["class_names"], description["architecture"]
    if len(names) < 2 or len(set(names)) != len(names):
        raise BundleError(f"it must have two or more class names, all different, received {names}.")
    architecture = None
    if named.get("name") is not None:
        architecture = Architecture(named["name"], named["arguments"], named.get("plugin"))
    record = Record(**description["record"])
    if network is not None:  # from now on its owner may change it, which the graph would not show
        _put_weights(network, _parsed(weights))
        return Classifier(network, preprocessing, names, architecture=architecture, record=record)
    if architecture is None:
        build = functools.partial(_refuse_to_build, named["class"], has_graph=graph is not None)
    else:
        build = functools.partial(_built, weights, path, architecture, preprocessing, len(names))
    classifier = Classifier.from_graph(
        graph,
        build,
        preprocessing,
        names,
        state=functools.partial(_weights, weights, path),
        architecture=architecture,
        record=record,
    )
    classifier.proof = description["parity"]
    if graph is not None and record.recipe.get(_PRECISION) == "int8":
        classifier.precision = "int8"
    if architecture is None or registry.missing(architecture.name, architecture.arguments):
        classifier.missing = named
    return classifier


def network_with(
    architecture: Architecture,
    preprocessing: Preprocessing,
    num_classes: int,
    state: Callable[[], Mapping[str, NDArray[Any]]],
) -> nn.Module:
    """Return a new torch network with weights, in evaluation mode; no random number is used up.

    Args:
        architecture: how to build it.
        preprocessing: of its images.
        num_classes: K.
        state: gives its weights by name.

    Raises:
        BundleError: it cannot be built, or the weights do not fit it.
        MissingPackageError: torch is not installed.
    """
    with needs_training_packages("the torch network of a bundle"):
        import torch

        try:
            with torch.random.fork_rng(devices=[]):
                network = build_network(architecture, preprocessing, num_classes)
        except (ModelError, TypeError, ValueError, RuntimeError) as error:
            raise BundleError(
                f"the network of the bundle, {architecture.name}, cannot be built: {error}"
            ) from error
    _put_weights(network, state())
    return network


def _built(
    weights: bytes,
    path: str | Path,
    architecture: Architecture,
    preprocessing: Preprocessing,
    num_classes: int,
) -> nn.Module:
    missing = registry.missing(architecture.name, architecture.arguments)
    if missing is not None:
        raise NetworkMissingError(_unregistered(missing, architecture.plugin, path))
    with _named(path):
        state = functools.partial(_parsed, weights)
        return network_with(architecture, preprocessing, num_classes, state)


def _unregistered(missing: str, plugin: str | None, path: str | Path) -> str:
    remedy = "register it first with lamplighter.register, or install the package that offers it"
    if plugin is not None and plugin.startswith("the package "):
        remedy = f"it was of {plugin}: install that"
    elif plugin is not None:
        remedy = f"it was registered by {plugin}: run or import that first"
    return (
        f"the torch network of {path} cannot be built: {missing} is not registered here; {remedy}."
    )


def _weights(weights: bytes, path: str | Path) -> dict[str, NDArray[Any]]:
    with _named(path):
        return _parsed(weights)


def _refuse_to_build(network_class: str, *, has_graph: bool) -> nn.Module:
    also = "" if has_graph else ", and there is no ONNX graph in it"
    raise NetworkMissingError(
        f"the torch network of this bundle is a {network_class}, which Lamplighter does not have"
        f"{also}; build one yourself and give it to load(path, network=...)."
    )


def _serialised(classifier: Classifier) -> bytes:
    """Return the weights in the safetensors format."""
    from safetensors.numpy import save as serialise

    arrays = classifier.weight_arrays()
    return serialise({name: np.asarray(value, order="C") for name, value in arrays.items()})


def _put_weights(network: nn.Module, state: Mapping[str, NDArray[Any]]) -> None:
    """Put weights into `network`, or leave it as it is if they do not fit, and set eval mode.

    Raises:
        BundleError: names or shapes differ.
    """
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    received = {name: tuple(value.shape) for name, value in state.items()}
    if wanted != received:
        differing = [
            name
            for name in sorted(wanted.keys() | received.keys())
            if wanted.get(name) != received.get(name)
        ]
        name = differing[0]
        raise BundleError(
            f"the weights of the bundle do not fit the network: {len(differing)} differ, first "
            f"{name}: {wanted.get(name, 'absent')} in the network, {received.get(name, 'absent')} "
            "in the bundle; build the network with the arguments that it was trained with."
        )
    import torch

    network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    network.eval()


def _parsed(weights: bytes) -> dict[str, NDArray[Any]]:
    """Return the weights by name, as arrays.

    Raises:
        BundleError: `weights` is not in the safetensors format.
        MissingPackageError: safetensors is not installed.
    """
    with needs_training_packages("loading the weights of a bundle"):
        from safetensors import SafetensorError
        from safetensors.numpy import load as parse
    try:
        try:
            return dict(parse(weights))
        except KeyError:  # a type that numpy does not have, such as bfloat16
            return _parsed_by_torch(weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError(f"{WEIGHTS} is damaged: {error}; save the classifier again.") from error


def _parsed_by_torch(weights: bytes) -> dict[str, NDArray[Any]]:
    with needs_training_packages("loading these weights of a bundle"):
        from safetensors.torch import load as parse
    return {name: value.float().numpy() for name, value in parse(weights).items()}


@contextlib.contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Put the name of the file into errors of what it holds."""
    try:
        yield
    except (BundleError, DataError) as error:
        kind = type(error) if isinstance(error, BundleError) else BundleError
        mend = " Save the classifier again." if isinstance(error, DataError) else ""
        if is_other_model(path) and Path(path).is_file():
            mend = (
                f" What is called {Path(path).suffix} holds weights or a model for other software: "
                "load weights into their network, and make it a Classifier with its preprocessing "
                "and class names."
            )
        raise kind(f"{path} cannot be loaded: {error}{mend}") from error
