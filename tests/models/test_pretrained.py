"""Networks of timm as classifiers: their parts, their classes, and what timm itself says."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import nn

from lamplighter.errors import MissingPackageError, ModelError, UnknownModelError
from lamplighter.inference.predictor import predict
from lamplighter.models import pretrained as module
from lamplighter.models.classifier import Classifier
from lamplighter.models.pretrained import PretrainedNetwork, pretrained_classifier
from lamplighter.models.registry import build

SMALL = "test_efficientnet"  # one of timm's smallest that have weights; 160 x 160


@pytest.fixture(scope="module")
def timm_network():
    """timm's network with random weights, in place of those on its hub, that tells images apart."""
    import timm

    torch.manual_seed(5)
    network = timm.create_model(SMALL)
    with torch.no_grad():
        for _ in range(30):  # its normalization learns what there is
            network(torch.rand(8, 3, 160, 160))
    nn.init.normal_(network.get_classifier().weight)
    return network.eval()


@pytest.fixture
def fetching(monkeypatch, timm_network):
    """Let no weights be fetched: those of `timm_network` are taken instead."""
    monkeypatch.setattr(module, "fetched", lambda name, make: timm_network)


def picture(width, height, seed):
    """A picture of blurred colours with edges, not unlike a photo."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(6))
    pixels = np.asarray(image).astype(float)
    pixels = np.clip((pixels - pixels.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    pixels[height // 4 : height // 2, width // 3 : width // 2] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


@pytest.mark.usefixtures("fetching")
class TestClassifier:
    @pytest.mark.parametrize(
        "size", [(640, 480), (300, 500), (160, 160), (150, 900), (256, 256), (97, 61)]
    )
    def test_answers_as_timm_does_after_timms_own_transform(self, timm_network, size):
        from timm.data import create_transform, resolve_model_data_config

        transform = create_transform(**resolve_model_data_config(timm_network), is_training=False)
        image = picture(*size, seed=sum(size))
        with torch.no_grad():
            expected = timm_network(transform(image)[None]).numpy()
        logits = predict(pretrained_classifier(SMALL), [image]).logits
        assert expected.std() > 2  # it says something
        np.testing.assert_allclose(logits, expected, atol=1e-3)

    def test_describes_itself(self, timm_network):
        from timm.data import resolve_model_data_config

        classifier, config = pretrained_classifier(SMALL), resolve_model_data_config(timm_network)
        preprocessing = classifier.preprocessing
        size = preprocessing.channels, preprocessing.height, preprocessing.width
        assert size == config["input_size"] == (3, 160, 160)
        assert (preprocessing.fit, preprocessing.crop_pct) == ("crop", config["crop_pct"])
        assert preprocessing.interpolation == config["interpolation"]
        assert (preprocessing.mean, preprocessing.std) == (config["mean"], config["std"])
        assert classifier.architecture.name == "pretrained"
        assert classifier.architecture.arguments == {"backbone": SMALL}
        assert classifier.record.recipe["weights"].startswith(f"timm/{SMALL}")
        assert classifier.record.recipe["license"] == "apache-2.0"
        assert not classifier.network.training
        assert classifier.network.num_features == timm_network.num_features

    def test_has_a_thousand_classes_in_words(self):
        names = pretrained_classifier(SMALL).class_names
        assert len(names) == len(set(names)) == 1000
        assert (names[0], names[207], names[985]) == ("tench", "golden retriever", "daisy")
        assert names[134].startswith("crane: large long-necked wading bird")
        assert names[517].startswith("crane: lifts and moves heavy objects")
        assert names[639] == "maillot, tank suit"

    def test_building_uses_up_no_random_number(self):
        torch.manual_seed(3)
        expected = torch.rand(1)
        torch.manual_seed(3)
        pretrained_classifier(SMALL, size=64)
        assert torch.equal(torch.rand(1), expected)

    @pytest.mark.parametrize(("size", "expected"), [(96, (96, 96)), ((64, 160), (64, 160))])
    def test_takes_another_size_and_fit(self, size, expected):
        classifier = pretrained_classifier(SMALL, size=size, fit="squash")
        preprocessing = classifier.preprocessing
        assert (preprocessing.height, preprocessing.width) == expected
        assert (preprocessing.fit, preprocessing.crop_pct) == ("squash", 1.0)
        assert predict(classifier, [picture(80, 50, 1)]).logits.shape == (1, 1000)


class TestNetwork:
    def test_is_built_by_its_name_in_the_registry(self):
        from lamplighter.images.preprocessing import Preprocessing

        preprocessing = Preprocessing(height=32, width=48)
        classifier = Classifier.new(
            "pretrained", preprocessing=preprocessing, class_names="abc", backbone="test_resnet"
        )
        network = classifier.network
        assert isinstance(network, PretrainedNetwork)
        images = torch.rand(2, 3, 32, 48)
        assert network.eval()(images).shape == (2, 3)
        assert network.backbone(images).shape == (2, network.num_features)

    def test_takes_grey_images_and_networks_of_one_size(self):
        grey = PretrainedNetwork(3, 1, (32, 32), backbone="test_resnet").eval()
        assert grey(torch.rand(2, 1, 32, 32)).shape == (2, 3)
        transformer = PretrainedNetwork(3, 3, (64, 96), backbone="test_vit").eval()
        assert transformer(torch.rand(2, 3, 64, 96)).shape == (2, 3)

    def test_takes_other_heads(self):
        network = PretrainedNetwork(
            3, 3, (32, 32), backbone="test_resnet", head="knn", num_references=7, neighbours=2
        )
        assert network.head.references.shape == (7, network.num_features)

    def test_arguments_of_its_head_are_its_own(self):
        arguments = {"backbone": "test_resnet", "head": "knn", "voltage": 3}
        with pytest.raises(ModelError, match=r"head of kind 'knn' does not take these.*voltage"):
            build("pretrained", num_classes=3, in_chans=3, img_size=(32, 32), **arguments)

    def test_an_unknown_name_gets_near_ones(self):
        with pytest.raises(UnknownModelError, match=r"'resnt50'; did you mean 'resnet50'"):
            PretrainedNetwork(3, 3, (32, 32), backbone="resnt50")
        with pytest.raises(UnknownModelError, match="no pretrained network 'hf-hub:a/b'"):
            PretrainedNetwork(3, 3, (32, 32), backbone="hf-hub:a/b")

    def test_a_network_without_classes_or_weights_is_refused(self):
        with pytest.raises(ModelError, match="trained without; choose"):
            pretrained_classifier("vit_small_patch14_dinov2.lvd142m")
        with pytest.raises(UnknownModelError, match="no weights for it"):
            pretrained_classifier("botnet50ts_256")

    def test_a_missing_package_is_named(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "timm", None)
        with pytest.raises(MissingPackageError, match=r"needs timm.*pip install .*\[train\]"):
            pretrained_classifier("resnet50")


class TestWeights:
    def test_a_network_that_is_more_than_its_parts_is_refused(self):
        class More(nn.Module):
            def __init__(self, network):
                super().__init__()
                self.network = network

            def forward(self, images):
                return self.network(images) + 1

        network = PretrainedNetwork(3, 3, (32, 32), backbone="test_resnet").eval()
        module._check_same(network, network, "x", (32, 32))
        with pytest.raises(ModelError, match="more than a backbone"):
            module._check_same(network, More(network), "x", (32, 32))
