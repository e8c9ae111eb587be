"""All ten digits maximised on one network and shown to another: seconds, and how many it knows.

    python benchmarks/maximising.py [PICTURE.png]

Each network is trained first by the quick recipe, which is not counted. Plain gradient ascent on
pixels, which has neither movements nor priors, stands beside the default.
"""

from __future__ import annotations

import sys

import numpy as np

from measuring import median, record, table, timed

SEEDS = (0, 1, 2, 3, 4)
BARS = {"seconds": 20.0, "recognised": 8}
DIGITS = [str(digit) for digit in range(10)]


def recognised(classifier, images: np.ndarray) -> int:
    """Return how many of ten images are of their digit with a probability over 0.9."""
    import torch

    with torch.no_grad():
        inputs = torch.from_numpy(classifier.preprocessing.normalise(images))
        shares = classifier.network.eval()(inputs).softmax(1).numpy()
    return int((shares[np.arange(10), np.arange(10)] > 0.9).sum())


def main() -> None:
    from lamplighter import ImageData, maximise, plot_maximised, train
    from lamplighter.explain.activation_maximisation import PLAIN

    data = ImageData.mnist()
    networks = {
        name: train(data, model=name, seed=seed, verbose=0)
        for name, seed in (("quick-cnn", 1), ("better-cnn", 2), ("simple-cnn", 3))
    }
    rows, worst = [], 10
    for way, settings in (("default", {}), ("plain", PLAIN)):
        for source, classifier in networks.items():
            seconds, known = [], {name: [] for name in networks if name != source}
            for seed in SEEDS:
                found = []
                wall, _ = timed(
                    lambda: found.append(maximise(classifier, DIGITS, seed=seed, **settings))  # noqa: B023
                )
                seconds.append(wall)
                for name, counts in known.items():
                    counts.append(recognised(networks[name], found[0].images))
                if way == "default" and seed == SEEDS[0] and len(sys.argv) > 1:
                    plot_maximised(found[0]).savefig(f"{source}-{sys.argv[1]}")
            if way == "default":
                worst = min(worst, *(min(counts) for counts in known.values()))
            told = "; ".join(f"{name} {counts}" for name, counts in known.items())
            rows.append([way, source, f"{median(seconds):.1f}", told])
    text = (
        table(["", "maximised on", "seconds", "of ten, recognised by (each seed)"], rows)
        + f"\n\nRecognised: of its class with a probability over 0.9. At least {worst} of ten with "
        f"the default (bar {BARS['recognised']}); bar for the seconds {BARS['seconds']:.0f}."
    )
    record("maximising.py", "Maximised digits", text)


if __name__ == "__main__":
    main()
