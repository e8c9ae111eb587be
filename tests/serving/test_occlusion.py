"""/explain: the falls of a score, beside those that captum finds in the same network."""

from __future__ import annotations

import numpy as np
import pytest

from lamplighter.images.preprocessing import Preprocessing
from lamplighter.serving.occlusion import Covers, covered, heat

from . import bundles


@pytest.mark.parametrize(
    ("height", "width", "channels", "mean"),
    [(28, 28, 1, 0.13), (20, 31, 3, 0.5), (1, 1, 1, 0.5), (9, 40, 3, 0.1)],
)
def test_the_same_as_captum_finds(height, width, channels, mean):
    import torch
    from torch import nn

    from lamplighter.explain.attribution.attribution import attribute
    from lamplighter.models.classifier import Classifier

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 3), nn.Tanh())
    preprocessing = Preprocessing(
        height=height,
        width=width,
        channels=channels,
        mean=(mean,) * channels,
        std=(0.3,) * channels,
    )
    made = Classifier(network.eval(), preprocessing, bundles.NAMES)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1, channels, height, width), dtype=np.uint8)
    image = preprocessing.normalise(pixels)[0]
    covers = Covers.of(height, width)
    with torch.no_grad():
        inputs = np.stack([image, *(make() for make in covered(image, preprocessing, covers))])
        logits = network(torch.tensor(inputs)).numpy()
    found = heat(logits[1:, 2], float(logits[0, 2]), covers)
    wanted = attribute(made, pixels, target=2, method="occlusion")
    np.testing.assert_allclose(found, wanted.maps[0], atol=1e-5)


def test_the_endpoint(serving):
    (image,) = bundles.pictures(1)
    assert "--explain" in serving().post("/explain", content=image).json()["error"]
    client = serving(explain=True)
    response = client.post("/explain?class=dog", content=image)
    assert response.status_code == 200, response.text
    document = response.json()
    assert document["class"] == "dog"
    assert document["path"] == "-"
    assert document["size"] == [bundles.SIDE, bundles.SIDE]
    shape = np.shape(document["heat"])
    assert shape == (len(document["rows"]), len(document["columns"]))
    assert document["seen"].startswith("data:image/png;base64,")
    wanted = client.post("/predict", content=image).json()["predictions"][0]
    assert {key: document[key] for key in wanted} == wanted
    assert client.post("/explain?class=cow", content=image).status_code == 404
    assert client.post("/explain", content=b"no image").status_code == 415
