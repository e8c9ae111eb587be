from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from lamplighter.auditing import duplicates
from lamplighter.auditing.duplicates import close_pairs, near_duplicates, perceptual_hashes
from lamplighter.auditing.thumbnails import content_hash, look_at
from tests.datasets.pictures import picture, saved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamplighter.auditing.thumbnails import Look

RNG = np.random.default_rng(0)


def seen(root: Path, image: Image.Image, name: str = "a.png", **options: object) -> Look:
    path = saved(root, name, image, **options)
    return look_at(path, content_hash(path))


def test_the_hash_is_the_signs_of_low_frequencies() -> None:
    greys = RNG.integers(0, 256, (40, 32, 32), dtype=np.uint8)
    hashes = perceptual_hashes(greys)
    for grey, value in zip(greys, hashes, strict=True):
        low = dctn(grey.astype(np.float64), type=2)[:8, :8]  # its scale leaves the signs alone
        bits = (low > np.median(low.ravel()[1:])).ravel()
        assert np.unpackbits(np.array([value]).view(np.uint8)).tolist() == bits.tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 77, 300])
@pytest.mark.parametrize("block", [1, 100, 4000, 1 << 21])
def test_blocks_find_the_pairs_that_brute_force_finds(
    monkeypatch: pytest.MonkeyPatch, count: int, block: int
) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", block)
    hashes = RNG.integers(0, 1 << 63, count, dtype=np.uint64)
    hashes[::3] = hashes[: len(hashes[::3])] ^ np.uint64(0b10110)  # some that are near
    expected = {
        (i, j)
        for i, j in combinations(range(count), 2)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= 25
    }
    found = [pair for i, j in close_pairs(hashes, 25) for pair in zip(i, j, strict=True)]
    assert len(found) == len(expected)
    assert set(found) == expected


def brighter(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda image: image, {"format": "JPEG", "quality": 50}),
        (lambda image: image.resize((288, 216)), {"format": "PNG"}),
        (lambda image: image.resize((160, 120)), {"format": "JPEG", "quality": 80}),
        (lambda image: image.resize((640, 480)), {"format": "PNG"}),
        (lambda image: image.resize((224, 224)), {"format": "PNG"}),
        (brighter(1.05), {"format": "PNG"}),
        (brighter(0.95), {"format": "JPEG", "quality": 75}),
        (lambda image: image.convert("RGBA"), {"format": "PNG"}),
        (lambda image: image.convert("CMYK"), {"format": "TIFF"}),
    ],
)
def test_copies_are_found(tmp_path: Path, change: object, options: dict[str, object]) -> None:
    originals = [picture(number, (320, 240)) for number in range(6)]
    looks = [seen(tmp_path, image) for image in originals]
    looks += [seen(tmp_path, change(image), **options) for image in originals]
    assert near_duplicates(looks) == [[number, number + 6] for number in range(6)]


def test_what_is_merely_alike_is_not_found(tmp_path: Path) -> None:
    scene = picture(0, (320, 240))
    others = [scene]
    for place in (0, 100, 200):  # one thing at three places of one scene
        other = scene.copy()
        other.paste((240, 240, 240), (40 + place, 100, 90 + place, 130))
        others.append(other)
    others += [
        scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        scene.rotate(180),
        scene.crop((30, 20, 290, 220)),
        scene.convert("L"),
        Image.merge("RGB", scene.split()[::-1]),  # as light, of other colours
    ]
    assert near_duplicates([seen(tmp_path, image) for image in others]) == []


def test_different_pictures_are_not_copies(tmp_path: Path) -> None:
    assert near_duplicates([seen(tmp_path, picture(number)) for number in range(60)]) == []


def test_a_copy_of_a_copy_is_in_the_group_of_the_first(tmp_path: Path) -> None:
    image = picture(0, (320, 240))
    chain = [
        seen(tmp_path, ImageEnhance.Contrast(image).enhance(1 + step / 40)) for step in range(5)
    ]
    middle = replace(chain[2], content="another content")
    assert near_duplicates([*chain, seen(tmp_path, picture(1)), middle]) == [[0, 1, 2, 3, 4, 6]]


def test_the_same_content_is_a_copy_even_of_nothing(tmp_path: Path) -> None:
    white = seen(tmp_path, Image.new("RGB", (90, 90), "white"))
    nearly = seen(tmp_path, Image.new("RGB", (90, 90), "#fefefe"))
    assert near_duplicates([white, nearly, white]) == [[0, 2]]
    assert near_duplicates([]) == []


def test_many_copies_of_one_picture_are_one_group(tmp_path: Path) -> None:
    first = seen(tmp_path, picture(0))
    looks = []
    for number in range(3000):
        noise = RNG.integers(-1, 2, (32, 32))
        grey = (first.grey.astype(int) + noise).clip(0, 255).astype(np.uint8)
        looks.append(replace(first, content=str(number), grey=grey))
    assert near_duplicates(looks) == [list(range(3000))]


def test_the_groups_do_not_depend_on_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    for number in range(40):
        image = picture(number % 25)
        looks.append(
            replace(seen(tmp_path, brighter(1 + number / 800)(image)), content=str(number))
        )
    whole = near_duplicates(looks)
    assert len(whole) == 15
    monkeypatch.setattr(duplicates, "RADIUS", 64)
    monkeypatch.setattr(duplicates, "_CHUNK", 7)
    monkeypatch.setattr(duplicates, "_BLOCK", 50)
    assert near_duplicates(looks) == whole


def test_changed_photos_are_found_and_others_not(boats: Path, tmp_path: Path) -> None:
    """Photos of one fixed camera: one water, one bank, other boats."""
    paths = sorted(boats.rglob("*.jpg"))[::11]
    looks = [look_at(path, str(number)) for number, path in enumerate(paths)]
    assert near_duplicates(looks) == []
    for path in paths[::4]:
        with Image.open(path) as image:
            smaller = image.resize((720, 216), Image.Resampling.LANCZOS)
        copy = seen(tmp_path, brighter(0.95)(smaller), "copy.jpg", quality=50)
        assert near_duplicates([*looks, copy]) == [[paths.index(path), len(paths)]]
