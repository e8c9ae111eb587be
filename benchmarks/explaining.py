"""Attributions of a photo: all six methods, and Grad-CAM beside a forward and backward pass.

python benchmarks/explaining.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from measuring import median, record, table, timed

ROUNDS = 5
BARS = {"all": 15.0, "grad-cam": 3.0, "gap": 0.05}


def photo() -> Path:
    """Return the path of a photo that comes with scikit-learn."""
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "images" / "flower.jpg"


def main() -> None:
    from lamplighter.explain.attribution.attribution import METHODS, attribute
    from lamplighter.models.pretrained import pretrained_classifier

    first, _ = timed(lambda: __import__("captum.attr"))
    classifier = pretrained_classifier()
    pixels = classifier.preprocessing.pixels(classifier.preprocessing.open(photo()))
    inputs = torch.from_numpy(classifier.preprocessing.normalise(pixels[np.newaxis]))
    network = classifier.network.eval()

    def forward_backward() -> None:
        images = inputs.clone().requires_grad_()
        network(images).max().backward()
        network.zero_grad(set_to_none=True)

    forward_backward()
    attribute(classifier, inputs, "grad-cam")
    plain, cam = [], []
    for _ in range(4 * ROUNDS):
        plain.append(timed(forward_backward)[0])
        cam.append(timed(lambda: attribute(classifier, inputs, "grad-cam"))[0])
    ratio = median(cam) / median(plain)
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(ROUNDS):
        for name in METHODS:
            seconds[name].append(timed(lambda name=name: attribute(classifier, inputs, name))[0])
    rows, total = [], sum(median(taken) for taken in seconds.values())
    for name, taken in seconds.items():
        found = attribute(classifier, inputs, name)
        if "gap" in found.measured:
            gap, steps = float(found.measured["gap"][0]), int(found.measured["steps"][0])
        settings = ", ".join(f"{key} {value}" for key, value in found.settings.items())
        rows.append([name, f"{median(taken):.2f}", settings])
    rows.append(["all six", f"{total:.2f}", ""])
    text = (
        table(["method", "seconds", "settings"], rows)
        + f"\n\nOne photo of 224 x 224 on the bundled EfficientNet, medians of {ROUNDS} rounds; "
        f"captum was imported before, in {first:.1f} s. Bar: {BARS['all']:g} s for all six.\n\n"
        f"Grad-CAM takes {1000 * median(cam):.0f} ms, a forward and backward pass "
        f"{1000 * median(plain):.0f} ms: {ratio:.2f} times as long (bar {BARS['grad-cam']:g}), "
        f"medians of {4 * ROUNDS} rounds taken in turn.\n\n"
        f"Integrated gradients miss completeness by {100 * gap:.2f} % (bar {100 * BARS['gap']:g}) "
        f"with {steps} steps."
    )
    record("explaining.py", "Attributions of a photo", text)


if __name__ == "__main__":
    main()
