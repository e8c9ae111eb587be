from __future__ import annotations

import io
import os
import signal
import stat
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from lamplighter.datasets.zipped_images import is_zip, left_in, unpack_images
from lamplighter.errors import DatasetError, OutputError
from lamplighter.files import unzipping


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lamplighter" / "unpacked"


def png(colour: str = "red") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(content, "png")
    return content.getvalue()


def zipped(path: Path, files: dict[str, bytes], *more: tuple[zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        for name, content in files.items():
            whole.writestr(name, content)
        for entry, content in more:
            whole.writestr(entry, content)
    return path


def raw_names(path: Path, names: dict[str, bytes]) -> Path:
    """Put other bytes, as many, in the place of names, as programs that set no flag write them."""
    content = path.read_bytes()
    for old, new in names.items():
        assert len(old) == len(new)
        content = content.replace(old.encode(), new)
    path.write_bytes(content)
    return path


def names(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_only_images_and_tables_are_unpacked(tmp_path: Path, cache: Path) -> None:
    path = zipped(
        tmp_path / "Photos of May.zip",
        {
            "mac/ants/a.png": png(),
            "mac/b.HEIC": b"heic",
            "mac/labels.csv": b"path,label\n",
            "mac/film.mp4": b"film",
            "mac/setup.exe": b"MZ",
            "__MACOSX/mac/ants/._a.png": b"x",
            "mac/._b.HEIC": b"x",
            "mac/.DS_Store": b"x",
            "mac/Thumbs.db": b"x",
            "mac/empty/": b"",
        },
    )
    folder = unpack_images(path)
    assert folder.name == "Photos of May"
    assert folder.is_relative_to(cache)
    assert names(folder) == {"mac/ants/a.png", "mac/b.HEIC", "mac/labels.csv"}
    assert (folder / "mac/ants/a.png").read_bytes() == png()
    assert [left.path for left in left_in(path)] == ["mac/film.mp4", "mac/setup.exe"]


def test_unpacked_once_whatever_it_is_called_then(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png()})
    folder = unpack_images(path)
    before = (folder / "a.png").stat().st_ino
    assert unpack_images(path.rename(tmp_path / "b.zip")) == folder
    assert (folder / "a.png").stat().st_ino == before
    other = unpack_images(zipped(tmp_path / "b.zip", {"a.png": png("blue")}))
    assert other != folder
    assert len(list(cache.iterdir())) == 2


def test_a_folder_that_lost_files_is_made_anew(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png(), "b/c.png": png("blue")})
    folder = unpack_images(path)
    (folder / "b/c.png").unlink()
    (folder / "a.png").write_bytes(b"half")
    assert unpack_images(path) == folder
    assert (folder / "b/c.png").read_bytes() == png("blue")
    assert (folder / "a.png").read_bytes() == png()
    assert len(list(cache.iterdir())) == 1


def test_names_as_windows_and_old_programs_write_them(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "a.zip",
        {"win/k1/a.png": png(), "caf__/b.png": png(), "ca=f/d.png": png(), "K/A.PNG": png()},
    )
    raw_names(path, {"win/k1/a.png": b"win\\k1\\a.png"})
    raw_names(path, {"caf__/b.png": "café/b.png".encode(), "ca=f/d.png": b"ca\x82f/d.png"})
    assert names(unpack_images(path)) == {"win/k1/a.png", "café/b.png", "caéf/d.png", "K/A.PNG"}


def test_a_name_in_utf_8_beside_the_old_one(tmp_path: Path) -> None:
    old = b"caf\x82/a.png"
    entry = zipfile.ZipInfo("cafX/a.png")
    field = b"\x01" + struct.pack("<I", zlib.crc32(old)) + "日本/a.png".encode()
    entry.extra = struct.pack("<HH", 0x7075, len(field)) + field
    path = zipped(tmp_path / "a.zip", {}, (entry, png()))
    assert names(unpack_images(raw_names(path, {"cafX/a.png": old}))) == {"日本/a.png"}


def link() -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo("link.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, b"/etc/passwd"


def with_bytes(path: Path, offset: int, content: bytes) -> Path:
    """Change what the central directory says of the last file."""
    whole = bytearray(path.read_bytes())
    place = whole.rindex(b"PK\x01\x02") + offset
    whole[place : place + len(content)] = content
    path.write_bytes(whole)
    return path


def make_bad(kind: str, path: Path) -> Path:
    good = {"cat/a.png": png()}
    if kind in ("text", "empty file"):
        path.write_bytes(b"" if kind == "empty file" else b"<html>sign in</html>")
        return path
    if kind == "cut":
        zipped(path, good)
        path.write_bytes(path.read_bytes()[:-10])
        return path
    if kind == "damaged":
        zipped(path, good)
        whole = bytearray(path.read_bytes())
        whole[45] ^= 255
        path.write_bytes(whole)
        return path
    if kind == "encrypted":
        return with_bytes(zipped(path, good), 8, b"\x01")
    if kind == "deflate64":
        return with_bytes(zipped(path, good), 10, b"\x09")
    if kind == "drive in windows' writing":
        return raw_names(
            zipped(path, {**good, "up/up/evil.png": b"x"}), {"up/up/evil.png": b"..\\..\\evil.png"}
        )
    more = {
        "up": {"../evil.png": b"x"},
        "root": {"/evil.png": b"x"},
        "drive": {"C:/evil.png": b"x"},
        "bomb": {"bomb.jpg": bytes(10_000_000)},
        "nested": {"test1.zip": b"x", "train.TAR.GZ": b"x"},
    }
    if kind == "no image":
        return zipped(path, {"a.txt": b"x", "b.mp4": b"x"})
    if kind == "nothing":
        return zipped(path, {})
    return zipped(path, {**good, **more.get(kind, {})}, *([link()] if kind == "link" else []))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", r"must be a whole zip file, received one that begins b'<html>.*download it again"),
        ("empty file", "must be a whole zip file"),
        ("cut", "must be a whole zip file"),
        ("damaged", r"is damaged: cat/a\.png cannot be unpacked .*copy or download it again"),
        ("up", r"evil\.png: its name leads out"),
        ("drive in windows' writing", r"evil\.png: its name leads out"),
        ("root", r"evil\.png: its name leads out"),
        ("drive", r"evil\.png: its name leads out"),
        ("link", r"link\.png: it is a link"),
        ("encrypted", r"cat/a\.png: it is encrypted; unpack it with its password"),
        ("deflate64", "compressed in an unusual way; unpack it with the program"),
        ("bomb", r"bomb\.jpg: it would unpack to 10,000,000 bytes"),
        ("nested", r"archives in an archive \(test1\.zip, train\.TAR\.GZ\); unpack it"),
        ("no image", r"must be a zip file of images, received one with a\.txt, b\.mp4"),
        ("nothing", "must be a zip file of images, received an empty one"),
    ],
)
def test_what_is_refused(tmp_path: Path, cache: Path, kind: str, message: str) -> None:
    path = make_bad(kind, tmp_path / "photos.zip")
    with pytest.raises(DatasetError, match=message) as caught:
        unpack_images(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()
    assert not cache.exists() or not list(cache.iterdir())
    assert not (tmp_path / "evil.png").exists()


def test_blank_pictures_may_be_tight(tmp_path: Path) -> None:
    blank = io.BytesIO()
    Image.new("L", (3000, 3000)).save(blank, "bmp")
    assert names(unpack_images(zipped(tmp_path / "a.zip", {"a.bmp": blank.getvalue()})))


def test_two_files_of_one_name(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png(), "b.png": png()})
    with pytest.raises(DatasetError, match="two files of this name"):
        unpack_images(raw_names(path, {"b.png": b"a.png"}))


def test_sizes_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {f"{n}.png": png() for n in range(3)} | {"a.txt": b"x"})
    monkeypatch.setattr(unzipping, "_MOST_FILES", 3)
    unpack_images(path)
    monkeypatch.setattr(unzipping, "_MOST_FILES", 2)
    with pytest.raises(DatasetError, match="at most 2 files and 20 GB, received 3 files"):
        unpack_images(path)


def test_a_disk_that_is_too_small(tmp_path: Path, cache: Path, monkeypatch) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png()})
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match="free some space"):
        unpack_images(path)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png()})
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot be unpacked into .*unpack it yourself"):
        unpack_images(path)


def test_a_name_that_the_disk_does_not_take(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x" * 300 + ".png": png()})
    with pytest.raises(OutputError, match="File name too long"):
        unpack_images(path)
    assert list(cache.iterdir()) == []


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for read in (unpack_images, left_in):
        with pytest.raises(DatasetError, match=r"there is no file .*none\.zip"):
            read(tmp_path / "none.zip")
    (tmp_path / "folder.zip").mkdir()
    assert not is_zip(tmp_path / "folder.zip")
    assert is_zip(tmp_path / "A.ZIP")


WORKER = """
import sys, time
from pathlib import Path
from lamplighter.datasets.zipped_images import unpack_images

def slowly(done, total):
    print(done, flush=True)
    time.sleep(float(sys.argv[2]))

print(unpack_images(Path(sys.argv[1]), progress=slowly), flush=True)
"""


def start(path: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(path), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_process_leaves_nothing_that_counts(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"{number}.png": png() for number in range(50)})
    with start(path, 0.2) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    (left,) = cache.iterdir()
    assert left.name.endswith(".partial")
    assert len(names(unpack_images(path))) == 50
    assert left.exists()  # it might still be at work
    hours_ago = time.time() - 7200
    os.utime(left, (hours_ago, hours_ago))
    unpack_images(zipped(tmp_path / "b.zip", {"b.png": png()}))
    assert not left.exists()


def test_two_processes_at_once(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"{number}.png": png() for number in range(20)})
    with start(path, 0.02) as one, start(path, 0.02) as other:
        answers = [process.communicate()[0].splitlines()[-1] for process in (one, other)]
    assert answers[0] == answers[1]
    assert len(names(Path(answers[0]))) == 20
    assert len(list(cache.iterdir())) == 1
