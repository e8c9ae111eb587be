"""Small folders of pictures that tests of the studio open."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

COLORS = {"blue": (40, 70, 200), "green": (40, 160, 60), "red": (200, 40, 40)}


def picture(file: Path, color: tuple[int, int, int], number: int = 0) -> Path:
    """Write a picture of one color with a disk in it, at another place for each number."""
    image = Image.new("RGB", (96, 72), color)
    left, top = 6 + 9 * (number % 8), 6 + 9 * (number // 8 % 5)
    ImageDraw.Draw(image).ellipse([left, top, left + 22, top + 22], fill=(240, 240, 220))
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
    return file


def photos(folder: Path, *, each: int = 4) -> Path:
    """Write a folder for each of the classes blue, green and red, with `each` pictures in it."""
    for name, color in COLORS.items():
        for number in range(each):
            picture(folder / name / f"{name}-{number:02d}.png", color, number)
    return folder
