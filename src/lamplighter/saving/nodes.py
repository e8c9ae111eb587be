"""`Nodes`: an ONNX graph written node by node, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np


class Nodes:
    """Collects nodes and the constants that they are given.

    Args:
        prefix: before the names of all that is written, so that they differ from those of a graph
            that it is joined to.

    Attributes:
        nodes: what was written, in order.
        tensors: the constants.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def __call__(self, kind: str, *inputs: Any, output: str | None = None, **settings: Any) -> str:
        """Add a node and return the name of its output.

        Args:
            kind: the ONNX operator.
            inputs: names of values, or constants: arrays and numpy numbers.
            output: the name of the output; a new one by default.
            settings: the operator's attributes.
        """
        return self.several(kind, 1, *inputs, output=output, **settings)[0]

    def several(
        self, kind: str, count: int, *inputs: Any, output: str | None = None, **settings: Any
    ) -> list[str]:
        """Add a node of `count` outputs and return their names."""
        from onnx import helper

        number = len(self.nodes)
        name = f"{self.prefix}{kind.lower()}_{number}"
        outputs = [output or f"{name}_{place}" for place in range(count)]
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        self.nodes.append(
            helper.make_node(kind, names, outputs, f"{self.prefix}{kind}_{number}", **settings)
        )
        return outputs

    def _constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"{self.prefix}constant_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name
