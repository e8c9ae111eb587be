"""Pretrained networks from the cache; a tiny one stands for all, since its export is quick."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lamplighter.errors import (
    DataError,
    MissingPackageError,
    ModelError,
    OutputError,
    ShapeError,
    UnknownModelError,
)
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.predictor import predict
from lamplighter.inference.runtime import TorchRuntime, runtime
from lamplighter.models import pretrained as making
from lamplighter.models.classifier import Architecture, Classifier
from lamplighter.models.pretrained import PretrainedNetwork
from lamplighter.saving.bundle import describe, save
from lamplighter.saving.pretrained import is_pretrained, pretrained, pretrained_bundle

NAMES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(6)
    network = PretrainedNetwork(3, 3, (32, 32), backbone="test_resnet").eval()
    preprocessing = Preprocessing(height=32, width=32, fit="crop", crop_pct=0.875)
    architecture = Architecture("pretrained", {"backbone": "test_resnet"})
    return Classifier(network, preprocessing, NAMES, architecture=architecture)


@pytest.fixture(scope="module")
def bundle(tiny, tmp_path_factory):
    return save(tiny, tmp_path_factory.mktemp("tiny") / "tiny.lamp")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def made(monkeypatch, tiny, bundle):
    """The sizes of networks that were made, which is done without timm and an export here."""
    sizes = []

    def make(name, *, size):
        sizes.append(size)
        return tiny

    def copy(classifier, path, *, needs_graph):
        assert needs_graph
        return Path(shutil.copy(bundle, path))

    monkeypatch.setattr(making, "check_pretrained", lambda name: None)
    monkeypatch.setattr(making, "pretrained_classifier", make)
    monkeypatch.setattr("lamplighter.saving.pretrained.save", copy)
    return sizes


def kept(cache):
    return list((cache / "lamplighter" / "pretrained").iterdir())


INPUTS = np.random.default_rng(1).normal(size=(3, 3, 32, 32)).astype(np.float32)


class TestCache:
    def test_is_filled_once(self, cache, made, tiny):
        first, second = pretrained(), pretrained()
        assert made == [None]
        assert [path.suffix for path in kept(cache)] == [".lamp"]
        expected = TorchRuntime(tiny.network)(INPUTS)
        for classifier in (first, second):
            assert classifier.graph is not None
            assert classifier.class_names == NAMES
            np.testing.assert_allclose(runtime(classifier)(INPUTS), expected, atol=1e-4)
            assert classifier.read_network().num_features == tiny.network.num_features
        assert first.to_torch() is tiny.network  # which is there already

    def test_is_made_anew_where_it_is_damaged(self, cache, made):
        pretrained()
        (path,) = kept(cache)
        whole = path.read_bytes()
        for damaged in (b"", whole[:1000], whole[:-2000] + bytes(2000)):
            path.write_bytes(damaged)
            assert pretrained().graph is not None
            assert path.read_bytes() == whole
        assert len(made) == 4

    def test_changes_with_name_size_and_versions(self, cache, made, monkeypatch):
        pretrained()
        pretrained(size=32)
        pretrained(size=(32, 32))
        pretrained("resnet50")
        assert len(kept(cache)) == 3
        monkeypatch.setattr("importlib.metadata.version", lambda package: "99")
        pretrained()
        assert len(kept(cache)) == 4
        assert made == [None, (32, 32), None, None]

    def test_that_cannot_be_written_costs_time_alone(self, cache, made, tiny):
        cache.write_text("a file where the folder should be")
        np.testing.assert_array_equal(
            runtime(pretrained())(INPUTS), TorchRuntime(tiny.network)(INPUTS)
        )
        with pytest.raises(OutputError, match="cannot be written"):
            pretrained_bundle("efficientnet-lite0")

    def test_says_when_it_takes_long(self, cache, made):
        said = []
        pretrained(progress=said.append)
        pretrained(progress=said.append)
        assert said == ["preparing efficientnet-lite0, which is done once"]

    def test_gives_its_bundle(self, cache, made):
        path = pretrained_bundle("efficientnet-lite0")
        assert [path] == kept(cache)
        assert describe(path)["class_names"] == list(NAMES)

    def test_keeps_one_bundle_for_each_fit(self, cache, made):
        fitted = {fit: pretrained(fit=fit).preprocessing for fit in (None, "crop", "squash")}
        assert {fit: (p.fit, p.crop_pct) for fit, p in fitted.items()} == {
            None: ("crop", 0.875),
            "crop": ("crop", 0.875),
            "squash": ("squash", 1.0),
        }
        assert len(kept(cache)) == 1


@pytest.mark.parametrize("size", [0, -3, (32,), (32, 0), (32, 32, 3), 1.5, True, "x"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ShapeError, match="positive number of pixels or"):
        pretrained(size=size)


def test_a_fit_that_is_none_is_refused(cache, made):
    with pytest.raises(DataError, match="'crops'; did you mean 'crop'"):
        pretrained(fit="crops")
    assert made == []  # it is told before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("efficientnet_lite_0", "did you mean 'efficientnet-lite0' or"),
        ("test_resnett", "did you mean 'test_resnet'"),
        ("resnet50.a4_in1k", "no resnet50 with the weights 'a4_in1k'; did you mean '"),
        ("timm/resnet50", "received 'timm/resnet50'; did you mean 'resnet50'"),
        ("hf-hub:timm/resnet50.a1_in1k", "did you mean 'resnet50.a1_in1k'"),
        (" resnet50", "did you mean 'resnet50'"),
        ("coatnet_0_224", "no weights for it"),
        ("vit_small_patch14_dinov2", "trained without; choose"),
    ],
)
def test_a_name_is_checked_before_anything_is_prepared(cache, name, message):
    said = []
    with pytest.raises(ModelError, match=message):
        pretrained(name, progress=said.append)
    assert said == []
    assert not cache.exists()


@pytest.mark.parametrize("name", ["../efficientnet-lite0", "", "a b", "hf-hub:a/b", "x" * 300])
def test_what_can_be_no_name_is_refused(cache, made, name):
    if len(name) < 300:
        with pytest.raises(UnknownModelError, match="letters, digits"):
            pretrained(name)
    else:
        pretrained(name)
        assert len(kept(cache)) == 1


def test_without_torch_the_message_says_what_to_install(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "lamplighter.models.pretrained", None)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(MissingPackageError, match=r"efficientnet-lite0 needs .*\[train\]"):
        pretrained()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("efficientnet-lite0", True),
        ("resnet50", True),
        ("resnet50.a1_in1k", True),
        ("digits.lamp", False),
        ("DIGITS.LAMP", False),
        ("./resnet50", False),
        ("folder/resnet50", False),
        ("there", False),
        ("photo of a cat", False),
        ("", False),
    ],
)
def test_a_name_is_told_from_a_file(tmp_path, monkeypatch, name, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    assert is_pretrained(name) == expected
    assert is_pretrained(Path(name)) == (expected or name == "./resnet50")


def test_the_second_time_no_torch_is_imported(cache, made):
    pretrained()
    code = """
import sys
for name in ("torch", "timm", "onnx", "safetensors"):
    sys.modules[name] = None
import numpy as np
from lamplighter import predict, pretrained
from PIL import Image
print(predict(pretrained(), [Image.new("RGB", (50, 40))]).labels)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    assert done.stderr == ""
    assert done.stdout.strip("[]'\n") in NAMES


@pytest.mark.slow
def test_the_bundled_network_knows_photos_by_its_graph(cache):
    from sklearn.datasets import load_sample_images

    photos = [Image.fromarray(image) for image in load_sample_images().images]
    classifier = pretrained()
    assert classifier.graph is not None
    assert predict(classifier, photos).labels == ["palace", "daisy"]
    assert describe(pretrained_bundle("efficientnet-lite0"))["parity"]["max_difference"] < 1e-4
