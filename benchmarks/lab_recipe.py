"""SimpleCNN and BetterCNN with the lab recipe: 10 epochs, Adam, batches of 128, seed 7."""

from __future__ import annotations

from lamplighter import ImageData, evaluate, train
from measuring import record, table, timed

BARS = {"simple-cnn": 0.989, "better-cnn": 0.991}


def main() -> None:
    digits = ImageData.mnist()
    rows = []
    for model, bar in BARS.items():
        trained = []
        wall, processor = timed(
            lambda model=model, trained=trained: trained.append(
                train(digits, recipe="lab", model=model, seed=7)
            )
        )
        score = evaluate(trained[0], digits, "test").accuracy
        met = "yes" if score.value >= bar else "no"
        rows.append([model, score, f"{bar:.1%}", met, f"{wall:.0f}", f"{processor:.0f}"])
    header = ["network", "test accuracy", "bar", "met", "wall s", "processor s"]
    record("lab_recipe.py", "The lab recipe", table(header, rows))


if __name__ == "__main__":
    main()
