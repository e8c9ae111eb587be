"""Draw what a classifier sees of some image files, and what it says of them.

lamplighter data digits digits
python docs/show_inputs.py digits.lamp digits/* --out inputs.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

import lamplighter

CELL, GAP, TEXT = 150, 12, 30


def draw(bundle: Path, paths: list[Path]) -> Image.Image:
    """Return a picture: the files above, what the network sees of each below, then its answer."""
    classifier = lamplighter.load(bundle)
    answers = lamplighter.predict(classifier, paths).top(1)
    font = ImageFont.load_default(size=18)
    width = len(paths) * (CELL + GAP) + GAP
    sheet = Image.new("RGB", (width, 2 * (CELL + GAP) + GAP + TEXT), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (path, [(label, probability)]) in enumerate(zip(paths, answers, strict=True)):
        image = lamplighter.open_image(path)
        left = GAP + column * (CELL + GAP)
        shown = ImageOps.pad(image.convert("RGBA"), (CELL, CELL), color="#dddddd")
        sheet.paste(
            Image.alpha_composite(Image.new("RGBA", shown.size, "#9aa5b1"), shown), (left, GAP)
        )
        seen = classifier.preprocessing.seen(image).resize((CELL, CELL), Image.Resampling.NEAREST)
        sheet.paste(seen, (left, 2 * GAP + CELL))
        centre = (left + CELL // 2, 2 * (GAP + CELL) + GAP + TEXT // 2 - 4)
        pen.text(centre, f"{label}   {probability:.1%}", "black", font, anchor="mm")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("inputs.png"))
    arguments = parser.parse_args()
    draw(arguments.bundle, arguments.images).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
