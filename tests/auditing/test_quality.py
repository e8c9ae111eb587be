from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from lamplighter.auditing.audit import Audit, audit
from lamplighter.auditing.report import audit_page, audit_table
from lamplighter.auditing.sheet import audit_sheets
from lamplighter.auditing.thumbnails import look_at
from lamplighter.datasets.emoji import load_emoji
from lamplighter.datasets.mnist import load_mnist
from lamplighter.images.decoding import flatten_alpha
from tests.datasets.pictures import files_of, picture, saved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamplighter.auditing.findings import Finding
    from lamplighter.auditing.quality import Quality

FAULTS = ("blurred", "dark", "over-exposed", "framed", "low-information")


@pytest.fixture(scope="module")
def drawings() -> list[Image.Image]:
    """Every twentieth emoji, laid on white, 192 pixels a side."""
    pixels = load_emoji()[::20]
    images = [flatten_alpha(Image.fromarray(p)) for p in pixels]
    return [image.resize((192, 192), Image.Resampling.BICUBIC) for image in images]


def quality(path: Path) -> Quality:
    return look_at(path, "").quality


def measured(image: Image.Image, place: Path) -> Quality:
    return quality(saved(place, "a.png", image))


def share(images: Sequence[Image.Image], fault: str, place: Path) -> float:
    return float(np.mean([fault in measured(image, place).faults for image in images]))


def audited(root: Path, images: dict[str, Image.Image]) -> Audit:
    for path, image in images.items():
        saved(root, path, image)
    return audit(files_of(root, list(images)), cache=False)


def found(result: Audit) -> dict[str, Finding]:
    return {finding.kind: finding for finding in result.findings if finding.kind in FAULTS}


def test_drawings_digits_and_numbers_by_hand_have_no_fault(
    drawings: list[Image.Image], tmp_path: Path
) -> None:
    mnist = [Image.fromarray(pixels) for pixels in load_mnist()["test"][0][:300].squeeze()]
    by_hand = Path(str(files("lamplighter.datasets") / "digit_files"))
    assert [f for image in drawings for f in measured(image, tmp_path).faults] == []
    assert [f for image in mnist for f in measured(image, tmp_path).faults] == []
    pens = [path for path in sorted(by_hand.iterdir()) if path.suffix in (".jpg", ".png")]
    # The 9 is written so faintly that it is told as nearly blank.
    assert {p.stem for p in pens if quality(p).faults} <= {"digit-9"}
    assert len(pens) == 10


@pytest.mark.parametrize("percent", [2, 3, 5, 8])
def test_blurred_drawings_are_found(
    drawings: list[Image.Image], percent: float, tmp_path: Path
) -> None:
    blurred = [i.filter(ImageFilter.GaussianBlur(1.92 * percent)) for i in drawings]
    assert share(blurred, "blurred", tmp_path) >= 0.95


@pytest.mark.parametrize("deviation", [2, 4, 6])
@pytest.mark.parametrize("contrast", [40, 200])
def test_the_width_of_an_edge_is_that_of_the_blur(
    deviation: int, contrast: int, tmp_path: Path
) -> None:
    step = np.full((100, 120), 20, np.uint8)
    step[:, 60:] += contrast
    edges = measured(
        Image.fromarray(step).filter(ImageFilter.GaussianBlur(deviation)), tmp_path
    ).edges
    assert edges == pytest.approx(deviation, rel=0.45)  # percent of 100 pixels


def test_noise_does_not_make_a_blurred_photo_sharp(tmp_path: Path) -> None:
    pixels = np.asarray(picture(0, (200, 200)).filter(ImageFilter.GaussianBlur(20)))
    noisy = pixels + np.random.default_rng(0).normal(0, 1.5, pixels.shape)
    assert (
        "blurred" in measured(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), tmp_path).faults
    )


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("dark", lambda v: v // 4),
        ("over-exposed", lambda v: 244 + v // 24),
    ],
)
def test_light_is_judged(
    drawings: list[Image.Image], fault: str, change: Callable[[int], int], tmp_path: Path
) -> None:
    dim = [image.point(change) for image in drawings[:10]]
    assert share(dim, fault, tmp_path) == 1


@pytest.mark.parametrize("color", ["black", "white", (120, 60, 200)])
@pytest.mark.parametrize("border", [6, 20, (0, 20), (20, 0)])
def test_frames_and_bars_are_found_and_seen_past(
    color: object, border: int | tuple[int, int], tmp_path: Path
) -> None:
    image = picture(1, (240, 180)).filter(ImageFilter.GaussianBlur(6))
    framed = ImageOps.expand(image, border, color)
    area = image.width * image.height / (framed.width * framed.height)
    seen = measured(framed, tmp_path)
    assert seen.frame == pytest.approx(1 - area, abs=0.06)
    assert "blurred" in seen.faults  # sharp as the frame is
    assert measured(image, tmp_path).frame == 0


def test_what_is_no_frame(tmp_path: Path) -> None:
    """The ground of a drawing, of a digit, of an icon; a bar at one side alone."""
    round_icon = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(round_icon).rounded_rectangle((20, 20, 180, 180), 30, "navy")
    stroke = Image.new("L", (28, 28))
    stroke.paste(255, (12, 4, 16, 24))
    clear = Image.new("RGBA", (200, 200))
    clear.paste(picture(2, (160, 160)), (20, 20))
    one_side = picture(2, (200, 200))
    one_side.paste("black", (0, 0, 200, 30))
    for image in (round_icon, stroke, clear, one_side):
        assert measured(image, tmp_path).frame == 0


def test_what_is_next_to_empty(tmp_path: Path) -> None:
    horizon = Image.new("RGB", (200, 200), (90, 120, 200))
    horizon.paste((60, 70, 90), (0, 120, 200, 200))
    faint = Image.blend(picture(3, (200, 200)), Image.new("RGB", (200, 200), "grey"), 0.93)
    assert "low-information" in measured(horizon, tmp_path).faults
    assert "low-information" in measured(faint, tmp_path).faults
    assert "low-information" not in measured(picture(3), tmp_path).faults


# What users of such tools have reported.


def test_pure_colors_are_neither_dark_nor_over_exposed(tmp_path: Path) -> None:
    for color, ground in (((0, 0, 255), (0, 0, 90)), ((255, 255, 0), (250, 250, 0))):
        image = Image.new("RGB", (200, 200), ground)
        ImageDraw.Draw(image).regular_polygon((100, 100, 60), 5, fill=color)
        assert set(measured(image, tmp_path).faults) <= {"low-information"}


def test_a_small_sharp_object_before_an_even_ground_is_not_blurred(tmp_path: Path) -> None:
    for ground, color in (("black", "grey"), ((150, 180, 220), (120, 150, 200))):
        sky = Image.new("RGB", (1600, 1200), ground)
        ImageDraw.Draw(sky).regular_polygon((700, 500, 90), 7, fill=color)
        assert "blurred" not in measured(sky, tmp_path).faults


def test_a_dark_drawing_on_transparency_is_not_dark(tmp_path: Path) -> None:
    glyph = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(glyph).regular_polygon((100, 100, 80), 5, fill="black")
    assert measured(glyph, tmp_path).faults == ()


def test_a_grey_photo_of_16_bits_is_judged_as_one_of_8(tmp_path: Path) -> None:
    grey = np.asarray(picture(4).convert("L"))
    wide = Image.fromarray(grey.astype(np.uint16) * 257)
    assert quality(saved(tmp_path, "a.png", wide)) == quality(
        saved(tmp_path, "b.png", Image.fromarray(grey))
    )


def test_a_photo_on_its_side_is_judged_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = ImageOps.expand(picture(5, (320, 200)), (0, 30), "black")
    turned = saved(tmp_path, "a.jpg", image.rotate(90, expand=True), exif=exif, quality=95)
    upright = saved(tmp_path, "b.jpg", image, quality=95)
    assert quality(turned).frame == pytest.approx(quality(upright).frame, abs=0.02) != 0


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (3, 3), (500, 4), (17, 16)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_any_size_is_measured(size: tuple[int, int], mode: str, tmp_path: Path) -> None:
    for image in (picture(0, size).convert(mode), Image.new(mode, size)):
        values = vars(measured(image, tmp_path)).values()
        assert all(np.isfinite(value) and value >= 0 for value in values)


# Findings.


@pytest.fixture
def faulty(tmp_path: Path) -> Audit:
    images = {f"{'ab'[n % 2]}/{n}.png": picture(n) for n in range(6)}
    images["a/soft.png"] = picture(10).filter(ImageFilter.GaussianBlur(3))
    images["b/softer.png"] = picture(11).filter(ImageFilter.GaussianBlur(6))
    images["a/night.png"] = picture(12).point(lambda v: v // 4)
    images["b/snow.png"] = picture(13).point(lambda v: 246 + v // 26)
    images["a/frame.png"] = ImageOps.expand(picture(14), 10, "white")
    images["b/grey.png"] = picture(15).convert("L").convert("RGB")
    return audited(tmp_path, images)


def test_findings_name_the_worst_first_with_scores(faulty: Audit) -> None:
    findings = found(faulty)
    assert findings["blurred"].files == ("b/softer.png", "a/soft.png")
    scores = findings["blurred"].details["scores"]
    assert 0 < scores["a/soft.png"] < scores["b/softer.png"] < 1
    assert findings["dark"].files == ("a/night.png",)
    assert findings["framed"].files == ("a/frame.png",)
    assert {f.severity for f in findings.values()} == {"warning", "note"}
    assert [f.files for f in faulty.of("grey")] == [("b/grey.png",)]
    assert len(faulty.usable) == 12
    json.dumps(faulty.to_dict())
    for finding in findings.values():
        assert finding.sentence.endswith(".")
        assert "\n" not in finding.sentence


def test_table_page_and_sheets_show_scores(faulty: Audit) -> None:
    score = faulty.of("blurred")[0].details["scores"]["b/softer.png"]
    assert f"b/softer.png: score {score:.2f}" in audit_table(faulty)
    assert f"b/softer.png: score {score:.2f}" in audit_page(faulty)
    assert {"blurred.png", "dark.png", "framed.png", "grey.png"} <= set(audit_sheets(faulty))


def test_a_dark_data_set_is_told_in_one_note(tmp_path: Path) -> None:
    images = {f"{'ab'[n % 2]}/{n}.png": picture(n).point(lambda v: v // 4) for n in range(13)}
    images |= {f"{'ab'[n % 2]}/{n}.png": picture(n) for n in range(13, 24)}
    dark = found(audited(tmp_path, images))["dark"]
    assert (dark.severity, dark.files, dark.details) == ("note", (), {"images": 13, "of": 24})
    assert dark.sentence.startswith("13 of 24 images are dark")


def test_what_is_blank_or_tiny_is_told_once(tmp_path: Path) -> None:
    images = {
        "a/0.png": picture(0), "b/1.png": picture(1), "a/black.png": Image.new("RGB", (160, 120)),
        "b/tiny.png": picture(2, (12, 12)).filter(ImageFilter.GaussianBlur(3)),
    }  # fmt: skip
    assert found(audited(tmp_path, images)) == {}
