"""Draw the pictures of the documentation, into docs/pictures.

    lamplighter train mnist --out digits.lamp
    lamplighter data digits digits
    lamplighter data emoji drawings
    lamplighter transfer drawings --rungs knn,svm,linear --out drawings.lamp
    python docs/draw_pictures.py

Run it in the folder that holds what these commands write.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

import lamplighter

PICTURES = Path(__file__).parent / "pictures"
CELL, GAP, TEXT = 150, 12, 30
ROOSTER = Path("drawings/test/bird/rooster.png")
OTHERS = (
    "face/smiling-face-with-tear.png",
    "flag/honduras-flag.png",
    "mammal/tiger.png",
    "road/ambulance.png",
    "tool/magnet.png",
)


def draw_inputs(bundle: Path, paths: list[Path]) -> Image.Image:
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


def draw_reasons(bundle: Path, path: Path) -> Image.Image:
    """Return the image and what two methods mark as the reason for the answer."""
    classifier = lamplighter.load(bundle)
    maps = [lamplighter.attribute(classifier, path, method) for method in ("grad-cam", "occlusion")]
    drawn = io.BytesIO()
    lamplighter.plot_attribution(maps).savefig(drawn, dpi=110)
    return Image.open(drawn).convert("RGB")


def draw_answers(bundle: Path, paths: list[Path]) -> Image.Image:
    """Return a row of images, each above its answer, "unknown" among them."""
    predictions = lamplighter.predict(lamplighter.load(bundle), paths)
    font = ImageFont.load_default(size=18)
    sheet = Image.new("RGB", (len(paths) * (CELL + GAP) + GAP, CELL + 2 * GAP + TEXT), "white")
    pen = ImageDraw.Draw(sheet)
    rows = zip(paths, predictions.labels, predictions.top(1), strict=True)
    for column, (path, label, [(_, probability)]) in enumerate(rows):
        left = GAP + column * (CELL + GAP)
        image = lamplighter.open_image(path).convert("RGBA")
        shown = ImageOps.pad(image, (CELL, CELL), color="#ffffff")
        sheet.paste(
            Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown), (left, GAP)
        )
        text = "unknown" if label in (None, "unknown") else f"{label}   {probability:.0%}"
        pen.text((left + CELL // 2, GAP + CELL + TEXT // 2 + 4), text, "black", font, anchor="mm")
    return sheet


def draw_similar(path: Path) -> Image.Image:
    """Return an image and the eleven training images most like it, as `similar --sheet` draws."""
    with tempfile.TemporaryDirectory() as folder:
        sheet, index = Path(folder) / "similar.png", Path(folder) / "drawings.index"
        for arguments in (
            ["embed", "drawings", "--index", index],
            ["similar", index, path, "-k", "11", "--where", "split=train", "--sheet", sheet],
        ):
            subprocess.run(["lamplighter", *map(str, arguments)], check=True, capture_output=True)
        return Image.open(sheet).convert("RGB")


def main() -> None:
    drawn = {
        "digits": draw_inputs(Path("digits.lamp"), sorted(Path("digits").iterdir())),
        "answers": draw_answers(
            Path("drawings.lamp"),
            [
                ROOSTER,
                *(Path(f"drawings/test/{name}") for name in OTHERS),
                Path("digits/digit-3.jpg"),
            ],
        ),
        "why": draw_reasons(Path("drawings.lamp"), Path("drawings/test/mammal/tiger.png")),
        "similar": draw_similar(Path("drawings/test-twemoji/bird/rooster.png")),
        "fits": lamplighter.fits_sheet(lamplighter.open_image(ROOSTER).resize((160, 60)), 64),
    }
    for name, picture in drawn.items():
        # 256 colors: a page loads quickly, and nothing shows.
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
