"""The download of the boats and what may be wrong with an archive (lamplighter.files.unzipping)."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from typing import TYPE_CHECKING

import pytest

from lamplighter.datasets.boats import fetch_boats
from lamplighter.datasets.folders import scan_folder
from lamplighter.errors import DatasetError, DownloadError, OutputError
from lamplighter.files import unzipping
from tests.web_server import GOOD, Web, archive, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Web(archive(GOOD))) as web:
        yield web


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_photos_arrive_as_a_folder_of_splits(web: Web, tmp_path: Path) -> None:
    stages: list[str] = []
    fetched = fetch_boats(
        tmp_path / "boats", web.url, progress=lambda stage, done, of: stages.append(stage)
    )
    assert names(tmp_path) == {name.replace("data/", "boats/", 1) for name in GOOD}
    for name, content in GOOD.items():
        assert (tmp_path / name.replace("data/", "boats/", 1)).read_bytes() == content
    assert fetched.images == {"train": 6, "val": 6, "test": 6}
    assert fetched.classes == 2
    assert fetched.sha256 == hashlib.sha256(web.content).hexdigest()
    assert set(stages) == {"downloading", "unpacking"}
    files = scan_folder(tmp_path / "boats")
    assert files.split_names == ("train", "val", "test")
    assert [path.name for path in tmp_path.iterdir()] == ["boats"]


@pytest.mark.parametrize("top", ["", "a/b/"])
def test_the_splits_may_lie_at_any_depth(web: Web, tmp_path: Path, top: str) -> None:
    files = {name.replace("data/", top, 1): content for name, content in GOOD.items()}
    web.content = archive({**files, "__MACOSX/x.jpg": b"x", "README.txt": b"read me"})
    fetch_boats(tmp_path / "boats", web.url)
    expected = {name.replace("data/", "boats/", 1) for name in GOOD} | {"boats/README.txt"}
    assert names(tmp_path) == expected


def test_a_download_that_broke_off_goes_on(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.cuts = [500, *[0] * 9]
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(DownloadError, match="to continue"):
        fetch_boats(tmp_path / "boats", web.url)
    assert {path.name for path in tmp_path.iterdir()} == {"boats.download"}
    web.cuts = []
    fetch_boats(tmp_path / "boats", web.url)
    assert web.asked[-1]["range"] == "bytes=500-"
    assert [path.name for path in tmp_path.iterdir()] == ["boats"]


def test_the_checksum_is_compared(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"must have the SHA-256 00, received [0-9a-f]{64}"):
        fetch_boats(tmp_path / "boats", web.url, sha256="00")
    assert list(tmp_path.iterdir()) == []
    checksum = hashlib.sha256(web.content).hexdigest().upper()
    fetch_boats(tmp_path / "boats", web.url, sha256=checksum)


def test_nothing_is_overwritten_and_nothing_fetched_for_it(web: Web, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="must be a new or an empty folder"):
        fetch_boats(tmp_path, web.url)
    assert web.asked == []


def link() -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo("data/train/Alilaguna/link.jpg")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, b"/etc/passwd"


def bomb() -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo("data/train/Alilaguna/bomb.jpg")
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry, bytes(10_000_000)


def encrypted() -> bytes:
    content = bytearray(archive({**GOOD, "data/train/Alilaguna/z.jpg": b"z"}))
    place = content.rindex(b"PK\x01\x02")
    content[place + 8] |= 1
    return bytes(content)


def overlong(name: bytes) -> bytes:
    """Names that zipfile itself would not write."""
    whole = archive({**GOOD, "data/train/X/" + "y" * (len(name) - 13): b"z"})
    return whole.replace(b"data/train/X/" + b"y" * (len(name) - 13), name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>sign in</html>", "must be a whole zip file, received one that"),
        (b"", "must be a whole zip file"),
        (archive(GOOD)[:-30], "must be a whole zip file"),
        (archive(GOOD).replace(b"trainVaporetto2", b"trainVaporetto3"), "damaged: .*CRC"),
        (archive({**GOOD, "../../evil.jpg": b"x"}), "evil.jpg: its name leads out"),
        (archive({**GOOD, "/evil.jpg": b"x"}), "evil.jpg: its name leads out"),
        (archive({**GOOD, "C:/evil.jpg": b"x"}), "evil.jpg: its name leads out"),
        (overlong(b"data\\train\\..\\..\\evil.jpg"), "has a backslash or a null byte"),
        (overlong(b"data/train/X/a.jpg\0.txt"), "has a backslash or a null byte"),
        (archive(GOOD, link()), "link.jpg: it is a link or a device"),
        (archive(GOOD, bomb()), "bomb.jpg: it would unpack to 10,000,000 bytes"),
        (encrypted(), "z.jpg: it is encrypted"),
        (archive({**GOOD, "data/TRAIN/Alilaguna/0.JPG": b"x"}), "two files of this name"),
        (archive({"readme.txt": b"x"}), "received one without train"),
        (archive({name: b"x" for name in GOOD if "test" not in name}), "none in test"),
        (archive({name: b"x" for name in GOOD if "Vap" not in name}), "received 1 classes"),
    ],
)
def test_archives_that_are_not_unpacked(
    web: Web, tmp_path: Path, content: bytes, message: str
) -> None:
    web.content = content
    with pytest.raises(DatasetError, match=message) as caught:
        fetch_boats(tmp_path / "boats", web.url)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []
    web.content, web.etag = (
        archive(GOOD),
        '"two"',
    )  # mended on the server: nothing stands in its way
    assert fetch_boats(tmp_path / "boats", web.url).classes == 2


def test_sizes_that_are_absurd_in_all(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unzipping, "_MOST_FILES", 10)
    with pytest.raises(DatasetError, match="at most 10 files in it, received more"):
        fetch_boats(tmp_path / "boats", web.url)
    assert list(tmp_path.iterdir()) == []
