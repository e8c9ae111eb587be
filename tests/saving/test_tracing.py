"""What an export changes for its time, and puts back."""

import gc

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from lamplighter.errors import ModelError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.saving.tracing import collection_paused, has_features, head_graph, onnx_graph

PREPROCESSING = Preprocessing(height=8, width=8)


class Network(nn.Module):
    def __init__(self, fails=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU6(inplace=True)
        self.fc = nn.Linear(4, 2)
        self.fails = fails

    def forward(self, images):
        if self.fails and torch.compiler.is_exporting():
            raise ValueError("as it happens")
        return self.fc(self.relu(self.conv(images)).mean(dim=(2, 3)))


@pytest.mark.parametrize("fails", [False, True])
def test_layers_that_work_in_place_do_so_again(fails):
    network = Network(fails)
    if fails:
        with pytest.raises(ModelError, match="as it happens"):
            onnx_graph(network, PREPROCESSING)
    else:
        graph = onnx_graph(network, PREPROCESSING)
        session = onnxruntime.InferenceSession(graph)
        images = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32) * 9
        (logits,) = session.run(["logits"], {"images": images})
        with torch.no_grad():
            expected = network(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert network.relu.inplace is True
    assert network.training
    assert gc.isenabled()
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_head_alone_takes_features():
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    session = onnxruntime.InferenceSession(head_graph(head, 5))
    features = torch.rand(7, 5)
    (logits,) = session.run(["logits"], {"features": features.numpy()})
    np.testing.assert_allclose(logits, head(features).detach().numpy(), atol=1e-6)


def test_features_are_known_beforehand():
    assert has_features(Network(), PREPROCESSING)
    assert not has_features(nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten()), PREPROCESSING)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled):
    before = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        paused = collection_paused()
        with pytest.raises(KeyError), paused:
            raise KeyError(gc.isenabled())
        with collection_paused():
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
    finally:
        gc.enable() if before else gc.disable()
