"""Pretrained networks: those of the package, and those of timm that are kept in the cache."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import timm
import torch

from lamplighter.errors import (
    DataError,
    ModelError,
    OutputError,
    ShapeError,
    UnknownModelError,
)
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.runtime import TorchRuntime, runtime
from lamplighter.models import pretrained as making
from lamplighter.models.classifier import Architecture, Classifier
from lamplighter.models.fetching import BUNDLED
from lamplighter.models.pretrained import PretrainedNetwork
from lamplighter.saving.backbones import bundled_classifier
from lamplighter.saving.bundle import describe, save
from lamplighter.saving.pretrained import is_pretrained, pretrained, pretrained_bundle
from tests.absent_packages import run_without

NAMES = ("ant", "bee", "cat")
TIMM = "resnet50"  # a name of timm's, which is not looked for
LITE0, LITE2 = BUNDLED


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
        first, second = pretrained(TIMM), pretrained(TIMM)
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
        pretrained(TIMM)
        (path,) = kept(cache)
        whole = path.read_bytes()
        for damaged in (b"", whole[:1000], whole[:-2000] + bytes(2000)):
            path.write_bytes(damaged)
            assert pretrained(TIMM).graph is not None
            assert path.read_bytes() == whole
        assert len(made) == 4

    def test_changes_with_name_size_and_versions(self, cache, made, monkeypatch):
        pretrained(TIMM)
        pretrained(TIMM, size=32)
        pretrained(TIMM, size=(32, 32))
        pretrained("resnet34")
        assert len(kept(cache)) == 3
        monkeypatch.setattr("importlib.metadata.version", lambda package: "99")
        pretrained(TIMM)
        assert len(kept(cache)) == 4
        assert made == [None, (32, 32), None, None]

    def test_that_cannot_be_written_costs_time_alone(self, cache, made, tiny):
        cache.write_text("a file where the folder should be")
        np.testing.assert_array_equal(
            runtime(pretrained(TIMM))(INPUTS), TorchRuntime(tiny.network)(INPUTS)
        )
        with pytest.raises(OutputError, match="cannot be written"):
            pretrained_bundle(TIMM)

    def test_says_when_it_takes_long(self, cache, made):
        said = []
        pretrained(TIMM, progress=said.append)
        pretrained(TIMM, progress=said.append)
        assert said == [f"preparing {TIMM}, which is done once"]

    def test_gives_its_bundle(self, cache, made):
        path = pretrained_bundle(TIMM)
        assert [path] == kept(cache)
        assert describe(path)["class_names"] == list(NAMES)

    def test_keeps_one_bundle_for_each_fit(self, cache, made):
        fitted = {fit: pretrained(TIMM, fit=fit).preprocessing for fit in (None, "crop", "squash")}
        assert {fit: (p.fit, p.crop_pct) for fit, p in fitted.items()} == {
            None: ("crop", 0.875),
            "crop": ("crop", 0.875),
            "squash": ("squash", 1.0),
        }
        assert len(kept(cache)) == 1


@pytest.mark.parametrize("size", [0, -3, (32,), (32, 0), (32, 32, 3), 1.5, True, "x"])
def test_a_size_that_is_none_is_refused(size):
    for name in (LITE0, TIMM):
        with pytest.raises(ShapeError, match="positive number of pixels or"):
            pretrained(name, size=size)


def test_a_fit_that_is_none_is_refused(cache, made):
    with pytest.raises(DataError, match="'crops'; did you mean 'crop'"):
        pretrained(fit="crops")
    with pytest.raises(DataError, match="'crops'; did you mean 'crop'"):
        pretrained(TIMM, fit="crops")
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


HEAVY = ("torch", "torchvision", "timm", "onnx", "onnxscript", "safetensors", "matplotlib")


def test_without_torch_the_message_says_what_to_install(cache):
    code = """
from lamplighter import pretrained
from lamplighter.errors import MissingPackageError
try:
    pretrained("resnet50")
except MissingPackageError as error:
    print(error)
"""
    said = run_without("torch", "timm", code=code, XDG_CACHE_HOME=str(cache))
    assert re.fullmatch(r"the pretrained network resnet50 needs .*\[train\].*\n", said)
    assert not cache.exists()


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
    pretrained(TIMM)
    code = f"""
import sys
from lamplighter import predict, pretrained
from PIL import Image
print(predict(pretrained({TIMM!r}), [Image.new("RGB", (50, 40))]).labels)
assert "timm" not in sys.modules
"""
    heavy = [name for name in HEAVY if name != "timm"]  # whose version must be the same
    done = run_without(*heavy, code=code, XDG_CACHE_HOME=str(cache))
    assert done.strip("[]'\n") in NAMES


class TestInThePackage:
    def test_is_the_usual_one_and_what_is_called_by_its_end(self, cache):
        for name in (LITE0, LITE2):
            whole, short = pretrained(name), pretrained(name.removeprefix("efficientnet-"))
            assert whole.architecture.arguments == {"backbone": name}
            assert short.architecture == whole.architecture
            assert short.graph == whole.graph == bundled_classifier(name).graph
        assert pretrained().graph == pretrained(LITE0).graph
        assert not cache.exists()

    def test_answers_without_torch_timm_onnx_and_a_cache(self, cache):
        photos = Path(sklearn.datasets.__file__).parent / "images"
        code = f"""
from lamplighter import predict, pretrained
photos = [{str(photos / "china.jpg")!r}, {str(photos / "flower.jpg")!r}]
for name in {BUNDLED!r}:
    print(*predict(pretrained(name), photos).labels)
"""
        said = run_without(*HEAVY, "sklearn", "scipy", code=code, XDG_CACHE_HOME=str(cache))
        assert said == "palace daisy\npalace honeycomb\n"
        assert not cache.exists()

    def test_says_what_its_torch_network_needs(self, cache):
        code = """
from lamplighter import pretrained
from lamplighter.errors import MissingPackageError
for ask in ("to_torch", "read_network"):
    try:
        getattr(pretrained(), ask)()
    except MissingPackageError as error:
        print(error)
"""
        lines = run_without("torch", code=code, XDG_CACHE_HOME=str(cache)).splitlines()
        assert len(lines) == 2
        for line in lines:
            assert re.fullmatch(r"the torch network of a bundle needs torch, .*\[train\].*", line)

    def test_takes_another_fit(self):
        own, squashed = pretrained(LITE2), pretrained(LITE2, fit="squash")
        assert (own.preprocessing.fit, own.preprocessing.crop_pct) == ("crop", 0.89)
        assert (squashed.preprocessing.fit, squashed.preprocessing.crop_pct) == ("squash", 1.0)
        assert squashed.graph == own.graph

    def test_its_own_size_is_no_other(self, cache):
        assert pretrained(LITE0, size=224).graph == pretrained(LITE0).graph
        assert not cache.exists()

    def test_of_another_size_is_timms_network_at_that_size(self, cache):
        classifier = pretrained(LITE0, size=(64, 97))
        wanted = classifier.preprocessing
        assert (wanted.height, wanted.width, wanted.crop_pct) == (64, 97, 0.875)
        network = timm.create_model(BUNDLED[LITE0]).eval()
        weights = bundled_classifier(LITE0).weights().values()
        network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
        images = np.random.default_rng(2).normal(size=(3, 3, 64, 97)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(runtime(classifier)(images), expected, atol=1e-3)
        by_torch = TorchRuntime(classifier.to_torch())(images)
        np.testing.assert_allclose(by_torch, expected, atol=1e-3)

    def test_has_a_bundle_that_is_proven_by_torch(self, cache):
        description = describe(pretrained_bundle("lite0"))
        assert description["architecture"]["arguments"] == {"backbone": LITE0}
        assert description["parity"]["images"].endswith("synthetic images")
        assert description["parity"]["max_difference"] < 1e-4
