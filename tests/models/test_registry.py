"""Networks and heads of others: registered by hand, or offered by plug-ins, and in bundles."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

import lamplighter
from lamplighter import Classifier, Preprocessing, register
from lamplighter.errors import (
    ArgumentError,
    BundleError,
    ModelError,
    NetworkMissingError,
    PluginError,
    UnknownModelError,
)
from lamplighter.features.heads.fitting import FittedHead, with_head
from lamplighter.inference.predictor import predict_pixels
from lamplighter.models import registry
from lamplighter.models.head_weights import ModuleWeights
from lamplighter.models.heads import build_head

SMALL = Preprocessing(height=8, width=8, channels=1, mean=(0.5,), std=(0.5,))
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), dtype=np.uint8)

PLUGIN = """
    from torch import nn

    class Flat(nn.Module):
        def __init__(self, num_classes, in_chans, img_size, *, width=4):
            super().__init__()
            pixels = in_chans * img_size[0] * img_size[1]
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(),
                                        nn.Linear(width, num_classes))
        def forward(self, images):
            return self.layers(images)

    number = 3
"""


class OneLayer(nn.Module):
    def __init__(self, num_classes, in_chans, img_size, *, bias=True):
        super().__init__()
        self.out = nn.Linear(in_chans * img_size[0] * img_size[1], num_classes, bias=bias)

    def forward(self, images):
        return self.out(images.flatten(1))


class Scaled(nn.Module):
    """A head that knows nothing of the sizes that it was given."""

    def __init__(self, num_features, num_classes, *, scale=1.0):
        super().__init__()
        self.scale = scale
        self.out = nn.Linear(num_features, num_classes)

    def forward(self, features):
        return self.scale * self.out(features)


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Forget what a test registers."""
    monkeypatch.setattr(registry, "_registered", {"network": {}, "head": {}})


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Give what puts a distribution with entry points where Python finds it."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def put(name, group, points, code=PLUGIN):
        site, module = tmp_path / "site", name.replace("-", "_")
        info = site / f"{module}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = [f"{point} = {module}:{value}" for point, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[lamplighter.{group}]", *lines]))
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        monkeypatch.delitem(sys.modules, module, raising=False)
        return site

    return put


def made(name, **arguments):
    torch.manual_seed(0)
    return Classifier.new(name, preprocessing=SMALL, class_names=("a", "b"), **arguments)


def run(code, *paths):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )


class TestRegister:
    def test_a_class_is_registered_and_built_with_its_arguments(self):
        assert register("one-layer", OneLayer, summary="flatten, out") is OneLayer
        network = made("one-layer", bias=False).network
        assert isinstance(network, OneLayer)
        assert network.out.bias is None
        assert lamplighter.list_models()["one-layer"] == "flatten, out"
        assert "one-layer" not in registry._NETWORKS

    def test_a_function_is_registered_by_a_decorator_and_stays_as_it_is(self):
        @register("flat")
        def flat(num_classes, in_chans, img_size):
            return OneLayer(num_classes, in_chans, img_size)

        assert isinstance(flat(2, 1, (8, 8)), OneLayer)
        assert isinstance(made("flat").network, OneLayer)

    def test_a_cell_may_run_again_but_no_other_module_takes_the_name(self):
        register("flat", OneLayer)
        again = type("OneLayer", (OneLayer,), {})
        register("flat", again)
        assert type(made("flat").network) is again
        again.__module__ = "acme"
        with pytest.raises(ArgumentError, match=f"is there already, from the module {__name__}"):
            register("flat", again)

    @pytest.mark.parametrize("name", ["better-cnn", "pretrained"])
    def test_the_names_of_lamplighter_are_its_own(self, name):
        with pytest.raises(ArgumentError, match=rf"'{name}' is there already, from Lamplighter"):
            register(name, OneLayer)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("two words", OneLayer), "received 'two words'"),
            ((3.5j, OneLayer), r"received 3\.5j"),
            (("x", OneLayer(2, 1, (8, 8))), "received a OneLayer; give the class, not a network"),
            (("x", "OneLayer"), "received a str"),
            (("x", lambda classes: None), r"builder\(num_classes, in_chans, img_size\), received"),
        ],
    )
    def test_what_cannot_be_a_builder_is_refused_as_it_is_registered(self, arguments, message):
        with pytest.raises(ArgumentError, match=message):
            register(*arguments)
        with pytest.raises(ArgumentError, match="kind must be one of network, head"):
            register("x", OneLayer, kind="heads")

    def test_a_wrong_argument_is_named_and_the_builder_must_return_a_module(self):
        register("one-layer", OneLayer)
        with pytest.raises(ModelError, match="'baas' is none of them; did you mean 'bias'"):
            made("one-layer", baas=True)
        register("nothing", lambda classes, channels, size: {})
        with pytest.raises(ModelError, match=r"must return a torch\.nn\.Module, received a dict"):
            made("nothing")

    def test_an_error_of_lamplighters_own_in_a_builder_is_told_as_it_is(self):
        def refuse(classes, channels, size):
            raise ModelError("the images are too small.")

        register("small", refuse)
        with pytest.raises(ModelError, match=r"^the images are too small\.$"):
            made("small")

    def test_a_misspelt_name_is_told_the_registered_one(self):
        register("one-layer", OneLayer)
        with pytest.raises(UnknownModelError, match="did you mean 'one-layer'"):
            made("one-layr")


class TestPlugin:
    def test_a_network_is_found_by_its_name_and_nothing_imported_before(self, install):
        install("acme-nets", "networks", {"acme-flat": "Flat"})
        assert lamplighter.list_models()["acme-flat"] == "from the package acme-nets 1.2"
        registry.build("better-cnn", num_classes=2, in_chans=1, img_size=(28, 28))
        assert "acme_nets" not in sys.modules
        assert made("acme-flat", width=3).network.layers[1].out_features == 3

    def test_lamplighters_own_and_registered_ones_come_first(self, install):
        install("acme-nets", "networks", {"better-cnn": "Flat", "one-layer": "Flat"})
        register("one-layer", OneLayer)
        own = registry.build("better-cnn", num_classes=2, in_chans=1, img_size=(28, 28))
        assert type(own).__name__ == "BetterCNN"
        assert type(made("one-layer").network) is OneLayer
        assert lamplighter.list_models()["better-cnn"].startswith("conv 5x5x30")

    @pytest.mark.parametrize(
        ("value", "code", "message"),
        [
            ("Flat", "import no_such_package", "ModuleNotFoundError: No module named 'no_such"),
            ("Flat", "raise RuntimeError('of two\\nlines')", "RuntimeError: of two; update"),
            ("Flatt", PLUGIN, "AttributeError: module 'acme_nets' has no attribute 'Flatt'"),
            ("number", PLUGIN, "received a int; give the class"),
        ],
    )
    def test_one_that_does_not_load_is_told_in_one_line(self, install, value, code, message):
        install("acme-nets", "networks", {"acme-flat": value}, code)
        with pytest.raises(PluginError) as caught:
            made("acme-flat")
        begun = "the network 'acme-flat' of the package acme-nets 1.2 does not load: "
        assert str(caught.value).startswith(begun)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, ImportError)

    def test_two_that_offer_the_same_name_are_both_named(self, install):
        install("acme-nets", "networks", {"flat": "Flat"})
        install("other-nets", "networks", {"flat": "Flat"})
        with pytest.raises(PluginError, match=r"acme-nets 1\.2 and by the package other-nets 1\.2"):
            made("flat")

    def test_the_command_line_lists_and_trains_it(self, install, tmp_path):
        site = install("acme-nets", "networks", {"acme-flat": "Flat"})
        done = run(
            f"""
            import sys
            sys.path.insert(0, {str(site)!r})
            from lamplighter.cli import main
            sys.argv = ["lamplighter", "models"]
            try:
                main()
            finally:
                assert "acme_nets" not in sys.modules and "torch" not in sys.modules
            """
        )
        assert "acme-flat" in done.stdout
        assert done.stderr == ""


class TestBundle:
    def test_it_is_built_where_the_plug_in_is_and_answers_where_it_is_not(
        self, install, tmp_path, monkeypatch
    ):
        install("acme-nets", "networks", {"acme-flat": "Flat"})
        classifier = made("acme-flat", width=3)
        expected = predict_pixels(classifier, PIXELS).logits
        path = lamplighter.save(classifier, tmp_path / "flat.lamp")
        named = lamplighter.describe(path)["architecture"]
        assert named["plugin"] == "the package acme-nets 1.2"

        again = lamplighter.load(path)
        again.to_torch()
        np.testing.assert_allclose(predict_pixels(again, PIXELS).logits, expected, atol=1e-5)

        code = """
            import sys, json
            import numpy as np
            import lamplighter
            from lamplighter.errors import LamplighterError
            from lamplighter.inference.predictor import predict_pixels
            classifier = lamplighter.load(sys.argv[1])
            pixels = np.load(sys.argv[2])
            print(json.dumps(predict_pixels(classifier, pixels).logits.tolist()))
            assert "torch" not in sys.modules
            try:
                classifier.to_torch()
            except LamplighterError as error:
                print(type(error).__name__, error)
            assert "torch" not in sys.modules
        """
        np.save(tmp_path / "pixels.npy", PIXELS)
        done = run(code, path, tmp_path / "pixels.npy")
        assert done.returncode == 0, done.stderr
        logits, error = done.stdout.splitlines()
        np.testing.assert_allclose(json.loads(logits), expected, atol=1e-4)
        assert error == (
            f"NetworkMissingError the torch network of {path} cannot be built: the network "
            "'acme-flat' is not registered here; it was of the package acme-nets 1.2: install that."
        )

        monkeypatch.setattr(registry, "_offered", lambda kind: [])
        copy = lamplighter.save(lamplighter.load(path), tmp_path / "copy.lamp")
        assert lamplighter.describe(copy)["architecture"] == named
        assert lamplighter.load(copy).graph is not None

    @pytest.mark.parametrize("fault", ["broken", "twice"])
    def test_it_answers_where_the_plug_in_does_not_load(self, install, tmp_path, fault):
        site = install("acme-nets", "networks", {"acme-flat": "Flat"})
        path = lamplighter.save(made("acme-flat"), tmp_path / "flat.lamp")
        expected = predict_pixels(lamplighter.load(path), PIXELS).logits
        if fault == "twice":
            install("other-nets", "networks", {"acme-flat": "Flat"})
        else:
            (site / "acme_nets.py").write_text("import no_such_package")
            sys.modules.pop("acme_nets")
        again = lamplighter.load(path)
        np.testing.assert_array_equal(predict_pixels(again, PIXELS).logits, expected)
        told = r"acme-nets 1\.2 (does not load: ModuleNotFound|and by the package other-nets)"
        with pytest.raises(BundleError, match=rf"flat\.lamp cannot be loaded: .*{told}") as caught:
            again.to_torch()
        assert "\n" not in str(caught.value)

    def test_registering_it_after_loading_is_early_enough(self, tmp_path, monkeypatch):
        register("one-layer", OneLayer)
        path = lamplighter.save(made("one-layer"), tmp_path / "one.lamp")
        monkeypatch.setitem(registry._registered, "network", {})
        loaded = lamplighter.load(path)
        with pytest.raises(NetworkMissingError, match=rf"by the module {__name__}: run or import"):
            loaded.to_torch()
        register("one-layer", OneLayer)
        assert isinstance(loaded.to_torch(), OneLayer)
        lamplighter.save(loaded, path)
        assert lamplighter.load(path).class_names == ("a", "b")

    def test_a_bundle_of_lamplighters_own_names_no_plug_in(self, tmp_path, tiny_digits):
        digits = Classifier.new("better-cnn", tiny_digits)
        path = lamplighter.save(digits, tmp_path / "digits.lamp")
        assert "plugin" not in lamplighter.describe(path)["architecture"]


class TestHead:
    def test_a_head_is_built_with_its_sizes(self):
        register("scaled", Scaled, kind="head")
        head = build_head("scaled", 5, 3, scale=2.0)
        assert (type(head), head.num_features, head.num_classes) == (Scaled, 5, 3)
        with pytest.raises(ModelError, match="'scaled' does not take these arguments"):
            build_head("scaled", 5, 3, scales=2.0)
        with pytest.raises(UnknownModelError, match="no head 'scald'; did you mean 'scaled'"):
            build_head("scald", 5, 3)
        with pytest.raises(ArgumentError, match="'linear' is there already"):
            register("linear", Scaled, kind="head")

    def test_a_head_of_a_plug_in_is_found(self, install):
        code = "from torch import nn\nclass Plain(nn.Linear):\n    pass\n"
        install("acme-heads", "heads", {"plain": "Plain"}, code)
        assert build_head("plain", 4, 2).out_features == 2

    def test_a_backbone_with_it_is_a_bundle_that_is_built_where_it_is_registered(
        self, tmp_path, monkeypatch
    ):
        register("scaled", Scaled, kind="head")
        colours = Preprocessing(height=32, width=32, mean=(0.5,) * 3, std=(0.5,) * 3)
        base = Classifier.new(
            "pretrained",
            preprocessing=colours,
            class_names=("x", "y"),
            backbone="test_efficientnet",
        )
        base.network.eval()
        head = build_head("scaled", base.network.num_features, 3, scale=2.0).eval()
        fitted = FittedHead(ModuleWeights("scaled", head, {"scale": 2.0}), {}, 0.0)
        path = lamplighter.save(with_head(base, fitted, ("a", "b", "c")), tmp_path / "head.lamp")

        loaded = lamplighter.load(path)
        assert loaded.to_torch().head.scale == 2.0
        monkeypatch.setitem(registry._registered, "head", {})
        with pytest.raises(NetworkMissingError, match="the head 'scaled' is not registered here"):
            lamplighter.load(path).to_torch()
