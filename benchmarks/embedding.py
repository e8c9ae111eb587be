"""Feature vectors of a folder of photos, beside timm with torchvision's folder and a DataLoader.

    python benchmarks/embedding.py FOLDER

FOLDER holds train, valid and test, each with a folder for each class.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from measuring import median, record, table

if TYPE_CHECKING:
    from PIL import Image

    from lamplighter.features.extraction import Features

ROUNDS = 2
COMMAND_ROUNDS = 3
BARS = {"ratio": 5.5, "goal": 9.0, "whole": 4.0, "exact": 0.9999, "scaled": 0.995, "memory": 200.0}
FEW, MANY = 200, 20_000
MOSAICS, LARGE, NOISE = 16, (4000, 3000), 10


def lamplighter(folder: Path, precision: str) -> tuple[Features, float]:
    """Return the features of all images, and the seconds that they took."""
    from lamplighter import pretrained
    from lamplighter.datasets.folders import find_files
    from lamplighter.features.extraction import embed
    from lamplighter.saving.quantized import at_precision

    files = find_files(folder)
    classifier = at_precision(pretrained(fit="squash"), precision)
    start = time.perf_counter()
    features = embed(classifier, files, cache=False)
    return features, time.perf_counter() - start


def right(features: Features) -> np.ndarray:
    """Return which images beyond "train" a linear head on the features of "train" knows."""
    from lamplighter.features.heads.fitting import fit_head

    names = sorted(set(features.files.labels))
    labels = np.array([names.index(label) for label in features.files.labels])
    learned = np.array([split == "train" for split in features.files.splits])
    fitted = fit_head("linear", features.vectors[learned], labels[learned], len(names))
    answers = fitted.head.logits(features.vectors[~learned]).argmax(1)
    return answers == labels[~learned]


def baseline(folder: Path, workers: int) -> tuple[np.ndarray, float]:
    """Return the same from the same weights, as a user of timm writes it."""
    import timm
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    from lamplighter import pretrained

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    network.load_state_dict(pretrained().to_torch().backbone.state_dict())
    network.eval()
    transform = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    splits = [ImageFolder(str(split), transform) for split in sorted(folder.iterdir())]
    start = time.perf_counter()
    with torch.inference_mode():
        vectors = [
            network(images)
            for split in splits
            for images, _ in DataLoader(split, batch_size=32, num_workers=workers)
        ]
    seconds = time.perf_counter() - start
    return torch.cat(vectors).numpy(), seconds


def as_commands(folder: Path) -> list[list[object]]:
    """Return rows of how long whole commands take on the training photos, start-up included."""
    train = folder / "train"
    count = sum(1 for _ in train.rglob("*.jpg"))
    with tempfile.TemporaryDirectory() as place:
        import torch

        from lamplighter import pretrained

        weights = Path(place) / "weights.pth"
        torch.save(pretrained().to_torch().backbone.state_dict(), weights)
        sides = {
            f"timm, DataLoader, {workers} workers": [
                sys.executable, __file__, "--as-user", str(weights), str(workers), str(train)
            ]
            for workers in (0, 2)
        }  # fmt: skip
        command = str(Path(sys.executable).with_name("lamplighter"))
        sides["lamplighter embed"] = [command, "embed", str(train), "--out"]
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(COMMAND_ROUNDS):
            for name, words in sides.items():
                home = Path(place) / f"{number}-{len(taken[name])}"
                ending = [str(home.with_suffix(".npz"))] if words[-1] == "--out" else []
                start = time.perf_counter()
                subprocess.run(
                    [*words, *ending],
                    check=True,
                    capture_output=True,
                    env={**os.environ, "XDG_CACHE_HOME": str(home)},
                )
                taken[name].append(time.perf_counter() - start)
    best = min(median(times) for name, times in taken.items() if name.startswith("timm"))
    return [
        [name, count, f"{median(times):.1f}", f"{best / median(times):.2f}"]
        for name, times in taken.items()
    ]


def as_user(weights: str, workers: str, folder: str) -> None:
    """Compute features with timm, as a script that is run once."""
    import timm
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    transform = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    loader = DataLoader(ImageFolder(folder, transform), batch_size=32, num_workers=int(workers))
    with torch.inference_mode():
        vectors = torch.cat([network(images) for images, _ in loader])
    assert vectors.shape[1] == 1280


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine similarity of each pair of rows."""
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def mosaic(sources: list[Path], rng: np.random.Generator, noise: float) -> Image.Image:
    """Return 12 megapixels of photos side by side: one enlarged has no detail that could be lost.

    Args:
        sources: files of photos.
        rng: draws them.
        noise: standard deviation of what is added to each pixel, as sensors do.
    """
    from PIL import Image

    whole = Image.new("RGB", LARGE)
    top = 0
    while top < whole.height:
        left = tallest = 0
        while left < whole.width:
            with Image.open(sources[rng.integers(len(sources))]) as photo:
                whole.paste(photo.convert("RGB"), (left, top))
                left, tallest = left + photo.width, max(tallest, photo.height)
        top += tallest
    pixels = np.asarray(whole) + rng.normal(0, noise, (whole.height, whole.width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def scaled_decoding(photos: Path) -> np.ndarray:
    """Return the similarity of vectors with scaled and with whole decoding, on large photos."""
    from lamplighter import pretrained
    from lamplighter.datasets.folders import scan_folder
    from lamplighter.features.extraction import embed

    with tempfile.TemporaryDirectory() as folder:
        sources, rng = sorted(photos.rglob("*.jpg")), np.random.default_rng(0)
        for number in range(MOSAICS):
            large = mosaic(sources, rng, NOISE * (number % 2))
            large.save(Path(folder) / f"{number:02d}.jpg", quality=92)
        files = scan_folder(folder)
        start = time.perf_counter()
        whole = embed(pretrained(fit="squash"), files, cache=False, scaled=False).vectors
        middle = time.perf_counter()
        scaled = embed(pretrained(fit="squash"), files, cache=False).vectors
        end = time.perf_counter()
    print(f"12 megapixels: whole {middle - start:.1f} s, scaled {end - middle:.1f} s")
    return cosine(whole, scaled)


def peak_memory(folder: Path, count: int) -> float:
    """Return the largest resident memory, in MB, of a process that embeds `count` files.

    No two have the same content, so that the cache, which is empty at first, knows none of them.
    """
    script = (
        "import sys;"
        "from lamplighter import pretrained;"
        "from lamplighter.datasets.folders import scan_folder;"
        "from lamplighter.features.extraction import embed;"
        "embed(pretrained(fit='squash'), scan_folder(sys.argv[1]));"
        # Of this process alone; getrusage would tell of the one that started it as well.
        "peak = open('/proc/self/status').read().split('VmHWM:')[1].split()[0];"
        "print(int(peak) / 1024)"
    )
    with tempfile.TemporaryDirectory() as many, tempfile.TemporaryDirectory() as cache:
        sources = sorted(folder.rglob("*.jpg"))
        for number in range(count):
            # What follows the end of a JPEG file changes nothing of its picture.
            content = sources[number % len(sources)].read_bytes() + number.to_bytes(4, "big")
            (Path(many) / f"{number:05d}.jpg").write_bytes(content)
        environment = {**os.environ, "XDG_CACHE_HOME": cache}
        for command in (["from lamplighter import pretrained; pretrained()"], [script, many]):
            # The first puts the network into the cache, which takes torch and its memory.
            done = subprocess.run(
                [sys.executable, "-c", *command],
                check=True,
                capture_output=True,
                text=True,
                env=environment,
            )
    return float(done.stdout)


def main() -> None:
    from lamplighter.evaluation.intervals import mcnemar

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    commands = as_commands(folder)
    ways = {
        "timm, DataLoader, 0 workers": lambda: baseline(folder, 0),
        "timm, DataLoader, 2 workers": lambda: baseline(folder, 2),
        "lamplighter, fp32": lambda: lamplighter(folder, "fp32"),
        "lamplighter, int8": lambda: lamplighter(folder, "int8"),
    }
    vectors, known, seconds = {}, {}, {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            made, taken = way()
            if name.startswith("lamplighter"):
                known[name], made = right(made), made.vectors
            vectors[name] = made
            seconds[name].append(taken)
    reference = vectors["timm, DataLoader, 0 workers"]
    best = min(median(seconds[name]) for name in list(ways)[:2])
    rows = []
    for name, taken in seconds.items():
        similar = cosine(vectors[name], reference)
        rows.append(
            [
                name,
                f"{len(reference) / median(taken):.0f}",
                f"{best / median(taken):.2f}",
                f"{similar.min():.5f}",
                f"{np.median(similar):.5f}",
            ]
        )
    scaled = scaled_decoding(folder)
    few, many = peak_memory(folder, FEW), peak_memory(folder, MANY)
    whole, reduced = (known[f"lamplighter, {precision}"] for precision in ("fp32", "int8"))
    same = mcnemar(whole, reduced)
    text = (
        table(["", "images/s", "ratio", "least cosine similarity", "median"], rows)
        + f"\n\n{len(reference):,} photos, medians of {ROUNDS} rounds taken in turn; the ratio is "
        f"to the faster DataLoader. Bars: a ratio of {BARS['ratio']} (goal {BARS['goal']:g} with "
        f"reduced precision), a similarity of {BARS['exact']} with fp32.\n\n"
        f"Whole commands on the training photos, each in a process of its own with an empty cache, "
        f"medians of {COMMAND_ROUNDS} (bar {BARS['whole']:g}):\n\n"
        f"{table(['', 'photos', 'seconds', 'ratio'], commands)}\n\n"
        f"A linear head on the training images knows {100 * whole.mean():.1f} % of the "
        f"{len(whole)} others with fp32 and {100 * reduced.mean():.1f} % with int8: "
        f"{(whole & ~reduced).sum()} are lost, {(~whole & reduced).sum()} gained "
        f"(McNemar's p = {same.p_value:.2f}).\n\n"
        f"Scaled decoding of {len(scaled)} mosaics of these photos, 12 megapixels each, every "
        f"second with noise of {NOISE} levels: least similarity {scaled.min():.4f} "
        f"(bar {BARS['scaled']}).\n\n"
        f"Peak memory, with a cache that is empty at first: {few:.0f} MB for {FEW} files, "
        f"{many:.0f} MB for {MANY:,}: {many - few:.0f} MB more (bar {BARS['memory']:.0f})."
    )
    record("embedding.py", "Feature vectors of a folder", text)


if __name__ == "__main__":
    as_user(*sys.argv[2:]) if sys.argv[1:2] == ["--as-user"] else main()
