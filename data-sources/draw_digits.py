"""Draw the ten pictures that come with the package, one handwritten digit each, all our own.

Run it from anywhere: python data-sources/draw_digits.py
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

TARGET = Path(__file__).parents[1] / "src" / "lamplighter" / "datasets" / "digit_files"

Point = tuple[float, float]

# The strokes of each digit in a unit square, y downwards: points that a smooth curve passes
# through. A stroke of two points is straight.
STROKES: dict[int, list[list[Point]]] = {
    0: [[(0.55, 0.03), (0.22, 0.2), (0.12, 0.58), (0.32, 0.94), (0.62, 0.9), (0.82, 0.55),
         (0.76, 0.18), (0.5, 0.02)]],
    1: [[(0.3, 0.24), (0.44, 0.14), (0.56, 0.02)], [(0.56, 0.02), (0.52, 0.5), (0.5, 0.98)]],
    2: [[(0.16, 0.26), (0.3, 0.06), (0.58, 0.03), (0.76, 0.24), (0.62, 0.54), (0.36, 0.78),
         (0.14, 0.95)], [(0.14, 0.95), (0.48, 0.92), (0.86, 0.94)]],
    3: [[(0.2, 0.12), (0.48, 0.01), (0.74, 0.17), (0.62, 0.4), (0.4, 0.47)],
        [(0.4, 0.47), (0.7, 0.54), (0.8, 0.76), (0.54, 0.97), (0.16, 0.88)]],
    4: [[(0.42, 0.03), (0.28, 0.34), (0.12, 0.62)], [(0.12, 0.62), (0.5, 0.61), (0.9, 0.58)],
        [(0.68, 0.3), (0.65, 0.64), (0.6, 0.99)]],
    5: [[(0.3, 0.05), (0.26, 0.24), (0.22, 0.44)], [(0.22, 0.44), (0.52, 0.37), (0.78, 0.56),
         (0.74, 0.84), (0.44, 0.98), (0.14, 0.88)], [(0.3, 0.05), (0.54, 0.06), (0.8, 0.02)]],
    6: [[(0.68, 0.02), (0.36, 0.26), (0.18, 0.62), (0.3, 0.92), (0.6, 0.95), (0.76, 0.72),
         (0.56, 0.53), (0.3, 0.62), (0.2, 0.76)]],
    7: [[(0.14, 0.08), (0.48, 0.08), (0.84, 0.05)], [(0.84, 0.05), (0.62, 0.44), (0.44, 0.98)]],
    8: [[(0.72, 0.14), (0.46, 0.02), (0.24, 0.2), (0.46, 0.44), (0.74, 0.68), (0.62, 0.95),
         (0.34, 0.95), (0.22, 0.72), (0.48, 0.46), (0.72, 0.26), (0.72, 0.12)]],
    9: [[(0.74, 0.22), (0.5, 0.03), (0.24, 0.18), (0.3, 0.42), (0.56, 0.44), (0.74, 0.2)],
        [(0.74, 0.2), (0.72, 0.56), (0.64, 0.98)]],
}  # fmt: skip


class Style(NamedTuple):
    """How one picture is drawn.

    `size` is its width and height, `digit` the height of the digit, `centre` where it is as a
    share of the picture, `pen` the width of a stroke, all in pixels; `turn` is in degrees.
    """

    name: str
    size: tuple[int, int]
    digit: int
    pen: float
    ink: tuple[int, int, int]
    ground: Literal["paper", "ruled", "board", "clear"] = "paper"
    centre: Point = (0.5, 0.5)
    turn: float = 0
    shadow: float = 0.3


STYLES = [
    Style("digit-0.jpg", (640, 480), 210, 9, (38, 52, 128), centre=(0.62, 0.45)),
    Style("digit-1.png", (160, 200), 128, 12, (24, 24, 30), "clear", turn=-6),
    Style("digit-2.jpg", (600, 600), 340, 17, (226, 228, 220), "board", turn=4),
    Style("digit-3.jpg", (500, 640), 260, 7, (96, 96, 100), centre=(0.45, 0.55), shadow=0.45),
    Style("digit-4.png", (220, 220), 150, 15, (190, 30, 40), "clear", centre=(0.55, 0.5)),
    Style("digit-5.jpg", (720, 540), 250, 10, (30, 48, 120), "ruled", centre=(0.4, 0.5)),
    Style("digit-6.jpg", (1000, 750), 260, 10, (30, 30, 34), centre=(0.28, 0.62), turn=7),
    Style("digit-7.jpg", (560, 420), 270, 14, (240, 226, 150), "board", centre=(0.55, 0.5)),
    Style("digit-8.jpg", (420, 520), 330, 22, (34, 92, 60), turn=-5, shadow=0.4),
    Style("digit-9.png", (120, 120), 70, 6, (250, 250, 250), "clear"),
]


def smooth(points: list[Point]) -> list[Point]:
    """Return a curve through `points`: cubic Bezier pieces with Catmull-Rom handles."""
    if len(points) == 2:
        return points
    known = np.array([points[0], *points, points[-1]])
    t = np.linspace(0, 1, 24)[:, np.newaxis]
    curve = []
    for before, start, end, after in zip(known, known[1:], known[2:], known[3:], strict=False):
        leaving, arriving = start + (end - before) / 6, end - (after - start) / 6
        curve.append(
            (1 - t) ** 3 * start
            + 3 * (1 - t) ** 2 * t * leaving
            + 3 * (1 - t) * t**2 * arriving
            + t**3 * end
        )
    return [(float(x), float(y)) for x, y in np.concatenate(curve)]


def strokes_mask(digit: int, style: Style, rng: np.random.Generator) -> Image.Image:
    """Return where the pen went, 0..255, with a hand's wobble and varying pressure."""
    fine = 3  # drawn this much larger, then reduced, for smooth edges
    mask = Image.new("L", (style.size[0] * fine, style.size[1] * fine))
    draw = ImageDraw.Draw(mask)
    angle = np.radians(style.turn)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array(style.size) * style.centre
    wobble: dict[Point, np.ndarray] = {}
    for stroke in STROKES[digit]:
        for point in stroke:  # strokes that meet in a point still meet
            wobble.setdefault(point, rng.normal(0, 0.012, 2))
        bent = [tuple(np.add(point, wobble[point])) for point in stroke]
        path = (np.array(smooth(bent)) - 0.5) * style.digit  # (N, 2)
        path = (path @ turn.T + middle) * fine
        dense = np.concatenate([np.linspace(a, b, 12) for a, b in pairwise(path)])
        phase = rng.uniform(0, 6)
        for i, (x, y) in enumerate(dense):
            radius = style.pen * fine / 2 * (1 + 0.12 * np.sin(phase + 7 * i / len(dense)))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return mask.resize(style.size, Image.Resampling.BOX)


def cloud(size: tuple[int, int], grain: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise of shape (H, W), about -1..1, with patches of `grain` pixels."""
    small = rng.normal(0, 1, (size[1] // grain + 2, size[0] // grain + 2)).astype(np.float32)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)) * 0.6


def light(style: Style, rng: np.random.Generator) -> np.ndarray:
    """Return the light on the picture, (H, W): it comes from one side, and corners are darker."""
    width, height = style.size
    y, x = np.mgrid[0:height, 0:width] / max(style.size)
    angle = rng.uniform(0, 2 * np.pi)
    side = (x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle)
    corners = (x - x.mean()) ** 2 + (y - y.mean()) ** 2
    return 1 - style.shadow * (0.5 + side) - 0.25 * corners + 0.008 * cloud(style.size, 90, rng)


def photograph(mask: Image.Image, style: Style, rng: np.random.Generator) -> Image.Image:
    """Return the strokes in `mask` on paper or on a board, lit, slightly blurred and noisy."""
    size = style.size
    ink = np.asarray(mask, dtype=np.float64) / 255  # (H, W)
    if style.ground == "board":
        ground = np.array([44.0, 62.0, 54.0]) + 7 * cloud(size, 60, rng)[..., np.newaxis]
        # Chalk catches on the grain of the board only.
        ink = ink * (0.82 + 0.25 * cloud(size, 2, rng)).clip(0.35, 1)
    else:
        ground = np.array([236.0, 233.0, 224.0]) + 2.5 * cloud(size, 3, rng)[..., np.newaxis]
        ink = ink * (0.93 + 0.08 * cloud(size, 4, rng)).clip(0.6, 1)
    if style.ground == "ruled":
        ground[30::62] = ground[31::62] = (176, 200, 224)
    ink = ink[..., np.newaxis]
    scene = (ground * (1 - ink) + np.array(style.ink) * ink) * light(style, rng)[..., np.newaxis]
    picture = Image.fromarray(scene.clip(0, 255).astype(np.uint8))
    picture = picture.filter(ImageFilter.GaussianBlur(0.8))
    noisy = np.asarray(picture, dtype=np.float64) + rng.normal(0, 2.5, (*scene.shape[:2], 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def draw(digit: int, style: Style) -> Image.Image:
    """Return the picture of `digit` in `style`; the same each time."""
    rng = np.random.default_rng(100 + digit)
    mask = strokes_mask(digit, style, rng)
    if style.ground == "clear":
        picture = Image.new("RGBA", style.size, (*style.ink, 0))
        picture.putalpha(mask)
        return picture
    return photograph(mask, style, rng)


def main() -> None:
    for digit, style in enumerate(STYLES):
        path = TARGET / style.name
        draw(digit, style).save(path, optimize=True, quality=80)
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f'    "{path.name}": "{checksum}",')


if __name__ == "__main__":
    main()
