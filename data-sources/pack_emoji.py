"""Pack the emoji that come with Lamplighter, from the two npm packages that hold their drawings.

Run it as README.md in this folder says. The same packages give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import lzma
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
TARGET = HERE.parent / "src" / "lamplighter" / "datasets" / "emoji_files"
ARTISTS = {"noto": "google", "twemoji": "twitter"}
SIZE = 64

# Each class: the subcategories of Unicode that it takes, and what it takes besides. Faces are
# those of people's feelings; cats and monkeys that play them are in no class.
CLASSES: dict[str, tuple[list[str], list[str]]] = {
    "air-and-water": (["transport-air", "transport-water"], []),
    "bird": (["animal-bird"], []),
    "bug": (["animal-bug"], []),
    "building": (["place-building", "place-religious"], []),
    "clothing": (["clothing"], []),
    "drink": (["drink"], []),
    "face": (["face-*"], []),
    "flag": (["country-flag", "subdivision-flag", "flag"], []),
    "fruit-and-vegetable": (["food-fruit", "food-vegetable"], []),
    "instrument": (["musical-instrument"], []),
    "mammal": (["animal-mammal"], []),
    "meal": (["food-prepared", "food-asian", "food-sweet"], []),
    "plant": (["plant-flower", "plant-other"], []),
    "road": (["transport-ground"], []),
    "sea": (["animal-marine"], []),
    "sport": (["sport"], []),
    "tool": (["tool"], ["scissors", "broom", "plunger", "hocho"]),
}

# In one of these subcategories, but no picture of such a thing: its part, its place, its sign.
LEFT_OUT = (
    "feet pig_nose feather wing spider_web microbe empty_nest nest_with_eggs rosette "
    "salt canned_food takeout_box ice_cube brown_mushroom "
    "station busstop motorway railway_track oil_drum fuelpump wheel rotating_light traffic_light "
    "vertical_traffic_light octagonal_sign construction roller_skate "
    "seat anchor ring_buoy building_construction bricks rock wood "
    "folding_hand_fan shopping_bags hair_pick prayer_beads lipstick ring gem "
    "dagger_knife crossed_swords bomb boomerang bow_and_arrow shield "
    "hankey space_invader skull_and_crossbones "
    # Flags drawn like those of another country, by one artist or both.
    "flag-bv flag-cp flag-sark flag-dg flag-ea flag-hm flag-mf flag-sj flag-um"
)

# Where Unicode's name says little.
NAMES = {"hocho": "kitchen knife", "scissors": "scissors", "link": "link of a chain"}

# Root mean square difference of two drawings on white, on the scale 0..255: below the first they
# would be one drawing, which may not be; below the second they are so alike that they must not
# stand on both sides of a split.
SAME, ALIKE = 4.0, 20.0
SHARES = {"test": 0.15, "val": 0.15}
LARGEST_GROUP = 4  # to measure on; a dozen faces that are nearly alike would be one face


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for package in ARTISTS.values():
        parser.add_argument(package, type=Path, help=f"unpacked emoji-datasource-{package}")
    packages = vars(parser.parse_args())
    rows = chosen(json.loads((packages["google"] / "emoji.json").read_text(encoding="utf-8")))
    pixels = {
        artist: np.stack([drawing(packages[package], package, row["image"]) for row in rows])
        for artist, package in ARTISTS.items()
    }  # each (N, 64, 64, 4)
    distances = np.minimum(*(differences(array) for array in pixels.values()))
    assert (distances[np.triu_indices(len(rows), 1)] >= SAME).all(), "one drawing twice"
    groups = grouped(rows, distances)
    splits = assigned([row["class"] for row in rows], groups)
    write(rows, groups, splits, pixels)


def chosen(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the emoji that both artists drew, with their class, in Unicode's order."""
    rows = []
    for entry in sorted(entries, key=lambda entry: entry["sort_order"]):
        drawn = all(entry[f"has_img_{package}"] for package in ARTISTS.values())
        found = [name for name in CLASSES if belongs(entry, name)]
        if drawn and found and entry["short_name"] not in LEFT_OUT.split():
            (name,) = found
            plain = NAMES.get(entry["short_name"], words(entry["name"]))
            rows.append(entry | {"class": name, "words": plain})
    assert len({row["words"] for row in rows}) == len(rows), "two emoji of one name"
    return rows


def belongs(entry: dict[str, Any], name: str) -> bool:
    subcategories, more = CLASSES[name]
    return entry["short_name"] in more or any(
        re.fullmatch(pattern.replace("*", ".*"), entry["subcategory"]) for pattern in subcategories
    )


def words(name: str) -> str:
    """Return the name of an emoji in lower case and plain letters."""
    plain = unicodedata.normalize("NFKD", name.lower().replace("&", " and "))
    return " ".join(re.findall("[a-z0-9]+", plain.encode("ascii", "ignore").decode()))


def drawing(package: Path, vendor: str, image: str) -> np.ndarray:
    """Return a drawing, uint8 (64, 64, 4); what is wholly transparent is 0 in all channels."""
    with Image.open(package / "img" / vendor / "64" / image) as file:
        pixels = np.array(file.convert("RGBA"))
    assert pixels.shape == (SIZE, SIZE, 4), f"{image} is {pixels.shape}"
    pixels[pixels[..., 3] == 0] = 0
    return pixels


def differences(pixels: np.ndarray) -> np.ndarray:
    """Return the root mean square difference of each two drawings on white, (N, N)."""
    alpha = pixels[..., 3:] / 255.0
    flat = (pixels[..., :3] * alpha + 255 * (1 - alpha)).reshape(len(pixels), -1)
    squares = (flat**2).mean(axis=1)
    products = flat @ flat.T / flat.shape[1]
    return np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * products, 0))


def grouped(rows: list[dict[str, Any]], distances: np.ndarray) -> list[str]:
    """Return the group of each emoji: the code of the first emoji in it.

    Together are emoji that Unicode makes of the same first character (the black cat is a cat and
    a black square; flags of countries are spelt, so that their first letter says nothing), and
    emoji of one class that an artist drew nearly alike.
    """
    first = [row["unified"].split("-200D-")[0].removesuffix("-FE0F") for row in rows]
    group = list(range(len(rows)))
    for i in range(len(rows)):
        for j in range(i):
            alike = distances[i, j] < ALIKE and rows[i]["class"] == rows[j]["class"]
            if group[i] != group[j] and (first[i] == first[j] or alike):
                old, new = max(group[i], group[j]), min(group[i], group[j])
                group = [new if number == old else number for number in group]
    return [code(rows[number]) for number in group]


def code(row: dict[str, Any]) -> str:
    return row["unified"].lower()


def assigned(classes: list[str], groups: list[str]) -> list[str]:
    """Return the split of each emoji: of each class the same shares, groups whole, by a hash."""
    splits = dict.fromkeys(groups, "train")
    for name in CLASSES:
        members = [group for group, own in zip(groups, classes, strict=True) if own == name]
        order = sorted(set(members), key=lambda group: hashlib.sha256(group.encode()).digest())
        for split, share in SHARES.items():
            wanted = max(2, round(share * len(members)))
            for group in order:
                if splits[group] == "train" and members.count(group) <= min(wanted, LARGEST_GROUP):
                    splits[group] = split
                    wanted -= members.count(group)
    return [splits[group] for group in groups]


def write(
    rows: list[dict[str, Any]],
    groups: list[str],
    splits: list[str],
    pixels: dict[str, np.ndarray],
) -> None:
    TARGET.mkdir(exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["code", "name", "class", "group", "split"])
    for row, group, split in zip(rows, groups, splits, strict=True):
        writer.writerow([code(row), row["words"], row["class"], group, split])
    contents = {"emoji.csv": table.getvalue().encode()}
    for artist, array in pixels.items():
        contents[f"{artist}.xz"] = array.tobytes()
    for name, content in contents.items():
        (TARGET / name).write_bytes(packed(content) if name.endswith(".xz") else content)
        checksum = hashlib.sha256(content).hexdigest()
        sys.stdout.write(f'    "{name}": "{checksum}",  # {len(content):,} bytes\n')


def packed(content: bytes) -> bytes:
    """Return `content` as an xz file."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 2, "lp": 2, "pb": 2}]
    return lzma.compress(content, format=lzma.FORMAT_XZ, filters=filters)


if __name__ == "__main__":
    main()
