"""The quick recipe against the lab's own way: accuracy over five seeds, and the time of both.

The lab's own way: Torchbearer, a data set that makes a PIL image and a tensor of each item,
BetterCNN, 10 epochs. Both sides start with the images in memory and end with the test accuracy;
each runs in a process of its own, whose imports are not counted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from measuring import median, record, table, timed

SEEDS = (1, 2, 3, 4, 5)


def quick(seed: int) -> dict[str, float]:
    import pytorch_lightning  # noqa: F401 - imports are not counted, on either side

    from lamplighter import ImageData, train

    digits = ImageData.mnist()
    trained = []
    wall, processor = timed(lambda: trained.append(train(digits, recipe="quick", seed=seed)))
    accuracy = trained[0].record.scores["test"]["accuracy"]["value"]
    return {"accuracy": accuracy, "wall": wall, "processor": processor}


def lab(seed: int) -> dict[str, float]:
    import torch
    import torchbearer
    from PIL import Image
    from torch import nn, optim
    from torch.utils.data import DataLoader, Dataset
    from torchbearer import Trial
    from torchvision import transforms

    from lamplighter import Classifier, ImageData

    class Digits(Dataset):
        """As torchvision's MNIST: a PIL image of each item, then the transform."""

        def __init__(self, split):
            self.images, self.labels = split.images[:, 0], split.labels
            self.transform = transforms.Compose([transforms.ToTensor()])

        def __len__(self):
            return len(self.labels)

        def __getitem__(self, index):
            image = Image.fromarray(self.images[index], mode=None)
            return self.transform(image), int(self.labels[index])

    data = ImageData.mnist()
    results = {}

    def work():
        torch.manual_seed(seed)
        train_loader = DataLoader(Digits(data["train"]), batch_size=128, shuffle=True)
        test_loader = DataLoader(Digits(data["test"]), batch_size=128)
        model = Classifier.new("better-cnn", data).network
        trial = Trial(model, optim.Adam(model.parameters()), nn.CrossEntropyLoss(), metrics=["acc"])
        trial.with_generators(train_loader, test_generator=test_loader)
        trial.run(epochs=10, verbose=0)
        results.update(trial.evaluate(verbose=0, data_key=torchbearer.TEST_DATA))

    wall, processor = timed(work)
    return {"accuracy": float(results["test_acc"]), "wall": wall, "processor": processor}


def alone(side: str, seed: int) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, side, str(seed)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if len(sys.argv) > 1:
        side, seed = sys.argv[1:]
        print(json.dumps({"quick": quick, "lab": lab}[side](int(seed))))
        return
    quick_runs = [alone("quick", seed) for seed in SEEDS[:3]]
    lab_run = alone("lab", 7)
    quick_runs += [alone("quick", seed) for seed in SEEDS[3:]]
    accuracies = [run["accuracy"] for run in quick_runs]
    mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
    wall = median([run["wall"] for run in quick_runs])
    processor = median([run["processor"] for run in quick_runs])
    rows = [
        [
            "quick recipe, five seeds",
            f"{mean:.2%} ± {spread:.2%}",
            f"{wall:.1f}",
            f"{processor:.1f}",
        ],
        [
            "the lab's own way",
            f"{lab_run['accuracy']:.2%}",
            f"{lab_run['wall']:.1f}",
            f"{lab_run['processor']:.1f}",
        ],
    ]
    text = table(["", "test accuracy", "wall s", "processor s"], rows)
    each = ", ".join(f"{accuracy:.2%}" for accuracy in accuracies)
    text += (
        f"\n\nRatio of the wall times: 1/{lab_run['wall'] / wall:.1f} (bar: at most 1/10); of the "
        f"processor times: 1/{lab_run['processor'] / processor:.1f}. Accuracy of each seed: {each} "
        f"(bar: 99.13 % on average; ± is the standard deviation over seeds)."
    )
    record("quick_recipe.py", "The quick recipe", text)


if __name__ == "__main__":
    main()
