"""Data that many tests share, read once."""

from __future__ import annotations

import functools
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lamplighter.datasets.image_data import ImageData

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, so that they leave the user's alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """Let Ctrl-C reach the programs that tests start, also where tests run in the background.

    A shell lets its background jobs ignore it, and what they start inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def operators_read_once() -> None:
    """Let torch's exporter read the source of its 500 operators once, not anew for each graph.

    It takes a third of the time of an export. Torch is not imported for it.
    """
    imports = sys.modules.get("torch.onnx._internal._lazy_import")
    if imports is not None and "get_torchlib_ops" not in vars(imports.onnxscript_apis):
        read = imports.onnxscript_apis.get_torchlib_ops
        imports.onnxscript_apis.get_torchlib_ops = functools.cache(read)


@pytest.fixture(scope="session")
def mnist(cache_home: Path) -> ImageData:
    """The whole of MNIST; do not change it."""
    return ImageData.mnist()


@pytest.fixture(scope="session")
def tiny_digits(mnist: ImageData) -> ImageData:
    """The first 512 training and 256 test images of MNIST."""
    splits = {
        name: mnist[name].take(np.arange(count)) for name, count in (("train", 512), ("test", 256))
    }
    return ImageData(
        splits, mnist.class_names, preprocessing=mnist.preprocessing, name="tiny-digits"
    )


@pytest.fixture(scope="session")
def boats() -> Path:
    """Photos of boats in folders train, valid and test, which do not come with the project."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "boats"
    if not folder.is_dir():
        pytest.skip("the photos of boats, for research use alone, are not beside the project")
    return folder
