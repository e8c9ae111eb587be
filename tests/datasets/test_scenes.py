from __future__ import annotations

import random
import re
import shlex
from pathlib import Path

import pytest

from lamplighter.datasets.folders import find_files
from lamplighter.datasets.scenes import find_scenes, scene_advice, scene_notes
from tests.datasets.pictures import files_of

CHANCE = random.Random(0)
TWO, BIRDS = ("cats", "dogs"), tuple(f"bird{n}" for n in range(20))


def hexadecimal(digits: int) -> str:
    return f"{CHANCE.randrange(16**digits):0{digits}x}"


def number(digits: int) -> str:
    return f"{CHANCE.randrange(10**digits):0{digits}}"


# How a camera, a program or a site names files, by which of them belong together.
SCENES = {
    "frames of videos": {
        (c, v): [f"{c}_video{v}_frame{n:03}.jpg" for n in range(10)] for c in TWO for v in range(5)
    },
    "videos by another scheme": {
        (c, v): [f"{c} take {v} ({n}).jpg" for n in range(6)] for c in TWO for v in range(4)
    },
    "x-rays": {
        (c, p): [f"{c}-person{p}_{n}.jpeg" for n in range(1, 2 + p % 4)]
        for c in ("sick", "well")
        for p in range(40)
    },
    "copies by Roboflow": {
        (c, n): [f"{c}{n}_jpg.rf.{hexadecimal(32)}.jpg" for _ in range(3)]
        for c in TWO
        for n in range(20)
    },
    "a telephone, hour by hour": {
        ("dogs" if h % 2 else "cats", d, h): [
            f"PXL_202405{d:02}_{h:02}{m:02}{s:02}123.jpg" for m in (1, 40) for s in (2, 3)
        ]
        for d in (1, 2, 3)
        for h in range(9, 15)
    },
    "a desk, minute by minute": {
        ("dogs" if m % 2 else "cats", m): [f"2024-05-01 09.{m:02}.{s:02}.png" for s in (1, 5, 9)]
        for m in range(12)
    },
}


def files_in(scenes: dict[tuple[object, ...], list[str]]):
    homes = {f"{key[0]}/{name}": key for key, names in scenes.items() for name in names}
    return files_of(Path(), list(homes)), list(homes.values())


@pytest.mark.parametrize("scheme", SCENES)
def test_scenes_in_names(scheme: str) -> None:
    files, homes = files_in(SCENES[scheme])
    scenes = find_scenes(files)
    assert scenes is not None
    assert scenes.count == len(SCENES[scheme])
    # The same files are together, by whatever name.
    assert len(set(zip(scenes.groups, homes, strict=True))) == scenes.count == len(set(homes))
    (note,) = scene_notes(files)
    assert note.startswith(f"these names look like frames of {scenes.count} scenes; keep each")
    # The option can be copied to a shell, and finds the same groups.
    *_, option, pattern = shlex.split(note.removesuffix("."))
    assert option == "--group"
    assert [re.search(pattern, path) is not None for path in files.paths] == [True] * len(files)


@pytest.mark.parametrize(
    "names",
    {
        "class and number": [f"{c}/{c}_{n:03}.jpg" for c in TWO for n in range(50)],
        "class and number, joined": [f"{c}/{c}{n}.jpg" for c in BIRDS for n in range(50)],
        "a camera": [f"{c}/IMG_{n + 100 * (c == 'cats')}.jpg" for c in TWO for n in range(50)],
        "numbers": [f"{c}/{n + 100 * i}.jpg" for i, c in enumerate(BIRDS) for n in range(50)],
        "turned fruit": [f"{c}/r_{n}_100.jpg" for c in BIRDS for n in range(60)],
        "wnids": [f"{c}/{c}_{number(5)}.JPEG" for c in BIRDS for _ in range(20)],
        "flickr": [f"{c}/{number(9)}_{hexadecimal(10)}_n.jpg" for c in TWO for _ in range(90)],
        "hashes": [f"{c}/{hexadecimal(32)}.jpg" for c in TWO for _ in range(90)],
        "birds": [f"{c}/{c}_{n:04}_{number(6)}.jpg" for c in BIRDS for n in range(20)],
        "authors by chance": [
            f"{c}/u{CHANCE.randrange(90)}_{n}.jpg" for c in TWO for n in range(90)
        ],
        "one morning": [
            f"{c}/IMG_20240501_09{n + 30 * (c == 'cats'):02}11.jpg" for c in TWO for n in range(30)
        ],
        "words": [f"{c}/{word}.png" for c in TWO for word in ("black-cat", "big-dog") * 9],
        "few": [f"cats/scene{n}_{m}.jpg" for n in range(5) for m in range(2)],
        "nothing": [],
    }.items(),
    ids=lambda item: item[0],
)
def test_names_that_say_nothing_of_scenes(names: tuple[str, list[str]]) -> None:
    assert find_scenes(files_of(Path(), list(dict.fromkeys(names[1])))) is None


def test_splits_that_part_scenes_are_named() -> None:
    files, homes = files_in(SCENES["frames of videos"])
    splits = {key: ("train", "val", "test")[n % 3] for n, key in enumerate(dict.fromkeys(homes))}
    whole = dict(zip(files.paths, [splits[key] for key in homes], strict=True))
    assert scene_advice(files_of(Path(), whole)) is None
    parted = whole | {files.paths[0]: "test", files.paths[1]: "test", files.paths[11]: "test"}
    advice = scene_advice(files_of(Path(), parted))
    assert advice is not None
    assert advice[1]
    assert ", 2 of which are in more than one split" in advice[0]
    # Where a split is still to be made, it matters anyway.
    two = {path: "train" if split == "val" else split for path, split in whole.items()}
    assert "keep each scene in one split" in scene_notes(files_of(Path(), two))[0]


def test_nothing_is_offered_where_groups_are_given() -> None:
    files, _ = files_in(SCENES["frames of videos"])
    grouped = files_of(Path(), list(files.paths), groups=["g"] * len(files))
    assert scene_notes(grouped) == ()


def test_the_photos_of_boats(boats: Path) -> None:
    files = find_files(boats)
    hours = {path.rpartition("/")[2][:11] for path in files.paths}
    (note,) = scene_notes(files.as_split(""))
    assert note == (
        f"these names look like frames of {len(hours)} scenes; keep each scene in one split with "
        r"--group '\d{8}_\d\d'."
    )
    # Some photos of other days stand among those of the test day.
    parted = [
        hour
        for hour in hours
        if len({s for p, s in zip(files.paths, files.splits, strict=True) if f"/{hour}" in p}) > 1
    ]
    assert f", {len(parted)} of which are in more than one split" in scene_notes(files)[0]
