"""Weights from the hub: safe to load, and errors put into words."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from typing import TYPE_CHECKING, TypeVar

from lamplighter.errors import DownloadError, ModelError
from lamplighter.text import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Network = TypeVar("Network")

# Their weights come with the package; the first is the usual one.
BUNDLED = {
    "efficientnet-lite0": "tf_efficientnet_lite0",
    "efficientnet-lite2": "tf_efficientnet_lite2",
}
USUAL = "efficientnet-lite0"
_PATIENCE = 10.0  # seconds to wait for a first answer
_SAFE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch's own switch
_HUB_LOGGER = "huggingface_hub"
_CLIENTS = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "requests")


def ignore_missing_widgets() -> None:
    """Let timm and captum be imported in a notebook without a warning from tqdm.

    It misses ipywidgets there, for bars that are not drawn.
    """
    warnings.filterwarnings("ignore", message="IProgress not found")


def fetched(name: str, make: Callable[[], Network]) -> Network:
    """Return what `make` makes, from weights that were fetched before if they are there.

    Args:
        name: what the network is called, for messages.
        make: builds the network by timm, which fetches the weights.

    Raises:
        DownloadError: the weights are not there and cannot be fetched.
        ModelError: they are damaged, or loading them would run code that is in them.
    """
    from huggingface_hub import constants

    online = not constants.HF_HUB_OFFLINE
    with _nothing_run(), _quiet():
        constants.HF_HUB_OFFLINE = True  # nothing is asked of the internet that is here already
        try:
            return make()
        except Exception as error:
            if not online or not _is_missing(error):
                raise _in_words(name, error) from error
        finally:
            constants.HF_HUB_OFFLINE = not online
        _check_reachable(name, constants.ENDPOINT)
        try:
            return make()
        except Exception as error:
            raise _in_words(name, error) from error


def _is_missing(error: Exception) -> bool:
    """Return whether weights were not to be had: the hub's client's errors have no common base."""
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in _CLIENTS


def _in_words(name: str, error: Exception) -> DownloadError | ModelError:
    if _is_missing(error):
        return _cannot_fetch(name, first_line(error))
    return ModelError(  # damaged weights lead to errors of many kinds, in many places
        f"the weights of {name} are damaged or not safe to load: {first_line(error)}; "
        f"choose another network, such as {USUAL}."
    )


def _check_reachable(name: str, address: str) -> None:
    """Say at once that there is no internet; the hub's own client tries for a minute."""
    import urllib.parse
    import urllib.request  # with all of http, which the other commands can do without

    if urllib.request.getproxies():
        return
    parts = urllib.parse.urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_PATIENCE).close()
    except OSError as error:
        reason = f"{parts.hostname} cannot be reached ({error.strerror or error})"
        raise _cannot_fetch(name, reason) from error


@contextlib.contextmanager
def _nothing_run() -> Iterator[None]:
    """Keep torch from unpickling, even where timm would fall back to that."""
    before = os.environ.get(_SAFE)
    os.environ[_SAFE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE]
        else:
            os.environ[_SAFE] = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of hub and torch back; what matters is raised."""
    logger = logging.getLogger(_HUB_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _cannot_fetch(name: str, reason: str) -> DownloadError:
    return DownloadError(
        f"the weights of {name} must be fetched from the internet once, which fails: {reason}; "
        f"go online and try again, or use {USUAL}, whose weights are installed."
    )
