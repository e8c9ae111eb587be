"""All ten digits maximised on one network and shown to others: seconds, and how many they know.

    python benchmarks/maximising.py [PICTURE.png]

Each network is trained first, which is not counted, by two recipes: by the quick one, whose label
smoothing leaves a network unsure of what it knows, and by the lab's, which has none. How many real
digits of ten a judge gives a probability over 0.9 stands beside what it makes of the maximised.
Plain gradient ascent on pixels, which has neither movements nor priors, stands beside the default.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from measuring import median, record, table

SEEDS = (0, 1, 2, 3, 4)
BARS = {"seconds": 20.0, "recognised": 8}
SURE = 0.9
DIGITS = [str(digit) for digit in range(10)]
NETWORKS = {"quick-cnn": 1, "better-cnn": 2, "simple-cnn": 3}
RECIPES = ("quick", "lab")


def shares(classifier, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the probability of its class for each image."""
    import torch

    with torch.no_grad():
        inputs = torch.from_numpy(classifier.preprocessing.normalise(images))
        known = classifier.network.eval()(inputs).softmax(1).numpy()
    return known[np.arange(len(labels)), labels]


def shown(judges, recipe: str, source: str, settings: dict) -> tuple:
    """Return seconds, how many of ten each other network knows, and the first images.

    Seconds and counts are lists, a value for each seed.
    """
    from lamplighter import maximise

    others = {name: [] for name in NETWORKS if name != source}
    seconds, found = [], []
    for seed in SEEDS:
        start = time.perf_counter()
        found.append(maximise(judges[recipe, source], DIGITS, seed=seed, **settings))
        seconds.append(time.perf_counter() - start)
        for name, counts in others.items():
            known = shares(judges[recipe, name], found[-1].images, np.arange(10))
            counts.append(int((known > SURE).sum()))
    return seconds, others, found[0]


def main() -> None:
    from lamplighter import ImageData, plot_maximised, train
    from lamplighter.explain.maximization.maximization import PLAIN

    data = ImageData.mnist()
    real = data["test"]
    judges = {
        (recipe, name): train(data, model=name, recipe=recipe, seed=seed, verbose=0)
        for recipe in RECIPES
        for name, seed in NETWORKS.items()
    }
    reference = {
        key: 10 * float((shares(judge, real.images, real.labels) > SURE).mean())
        for key, judge in judges.items()
    }
    rows, worst = [], dict.fromkeys(RECIPES, 10)
    for way, settings in (("default", {}), ("plain", PLAIN)):
        for recipe, source in judges:
            seconds, others, first = shown(judges, recipe, source, settings)
            if way == "default":
                worst[recipe] = min(worst[recipe], *map(min, others.values()))
                if len(sys.argv) > 1:
                    plot_maximised(first).savefig(f"{source}-{recipe}-{sys.argv[1]}")
            told = "; ".join(
                f"{name} {counts}, real {reference[recipe, name]:.1f}"
                for name, counts in others.items()
            )
            rows.append([way, recipe, source, f"{median(seconds):.1f}", told])
    least = "; ".join(f"{recipe} {count}" for recipe, count in worst.items())
    text = (
        table(
            ["", "recipe of all", "maximised on", "seconds", "of ten, recognised by (each seed)"],
            rows,
        )
        + f"\n\nRecognised: of its class with a probability over {SURE}; real: of ten real test "
        f"digits. The least of ten with the default: {least} (bar {BARS['recognised']}); bar for "
        f"the seconds {BARS['seconds']:.0f}."
    )
    record("maximising.py", "Maximised digits", text)


if __name__ == "__main__":
    main()
