"""The more accurate backbone where there is time for it, measured on the images themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import lamplighter
from lamplighter.errors import ArgumentError
from lamplighter.features import backbone_choice
from lamplighter.features.backbone_choice import choose_backbone

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.datasets.files import ImageFiles


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    folder = lamplighter.write_sample("emoji", tmp_path_factory.mktemp("photos") / "emoji")
    return lamplighter.find_files(folder)


def test_the_time_decides(files: ImageFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone_choice, "usable_cores", lambda: 2)
    took = {"efficientnet-lite0": 0.01, "efficientnet-lite2": 0.03}

    def seconds(classifier, files):
        return took[classifier.architecture.arguments["backbone"]]

    monkeypatch.setattr(backbone_choice, "_seconds", seconds)
    assert len(files) == 950
    enough = choose_backbone(files, seconds=15)
    assert enough.name == "efficientnet-lite2"
    assert enough.classifier.preprocessing.height == 260
    assert "takes about 14 s for 950 images on this machine, which is within 15 s" in enough.reason
    little = choose_backbone(files, seconds=14)
    assert little.name == "efficientnet-lite0"
    assert little.classifier.preprocessing.fit == "squash"
    assert "lite0 takes about 4.8 s for 950 images" in little.reason
    assert "lite2 would take about 14 s, more than 14 s" in little.reason


def test_it_is_measured_on_a_few_of_the_images(
    files: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = lamplighter.Preprocessing.open
    monkeypatch.setattr(
        lamplighter.Preprocessing,
        "open",
        lambda self, path: opened.append(path) or real(self, path),
    )
    choice = choose_backbone(files, seconds=1e9)
    assert choice.name == "efficientnet-lite2"
    assert len(opened) == 16
    assert len(set(opened)) == 8
    assert {path.parent.parent.name for path in opened} >= {"train", "val"}  # from all of them


def test_files_that_cannot_be_read_do_not_stop_it(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"{number}.png").write_bytes(b"no image")
    assert choose_backbone(lamplighter.find_files(tmp_path)).name == "efficientnet-lite2"


def test_no_time_is_refused(files: ImageFiles) -> None:
    with pytest.raises(ArgumentError, match="more than 0 seconds, received 0"):
        choose_backbone(files, seconds=0)
