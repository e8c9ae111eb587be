from __future__ import annotations

import errno
import io
import os
import random
import re
import signal
import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from lamplighter.datasets import zipped_images
from lamplighter.datasets.zipped_images import LIMIT, ZipPaths, is_zip, unpack_images
from lamplighter.errors import ArgumentError, DatasetError, ImageError, OutputError
from lamplighter.files import unzipping
from lamplighter.files.naming import lasting
from lamplighter.images.decoding import image_size


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


def unpacked(path: Path) -> Path:
    return unpack_images(path).folder


def kept(cache: Path) -> list[Path]:
    """The folders in the cache, whole ones and those in work."""
    return sorted(path for path in cache.glob("*") if path.is_dir())


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
    found = unpack_images(path)
    folder = found.folder
    assert folder.name == "Photos of May"
    assert folder.is_relative_to(cache)
    assert names(folder) == {"mac/ants/a.png", "mac/b.HEIC", "mac/labels.csv"}
    assert (folder / "mac/ants/a.png").read_bytes() == png()
    assert [left.path for left in found.left_out] == ["mac/film.mp4", "mac/setup.exe"]
    assert found.notes == ()
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "cache"]  # nothing beside it


def test_unpacked_once_whatever_it_is_called_then(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png()})
    folder = unpacked(path)
    before = (folder / "a.png").stat().st_ino
    assert unpacked(path.rename(tmp_path / "b.zip")) == folder
    assert (folder / "a.png").stat().st_ino == before
    other = unpacked(zipped(tmp_path / "b.zip", {"a.png": png("blue")}))
    assert other != folder
    assert len(kept(cache)) == 2


def test_another_zip_of_the_same_name_size_and_time(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as whole:  # stored
        whole.writestr("a.png", b"one")
    path = tmp_path / "a.zip"
    state = path.stat()
    folder = unpacked(path)
    with zipfile.ZipFile(path, "w") as whole:
        whole.writestr("a.png", b"two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    other = unpacked(path)
    assert other != folder
    assert (other / "a.png").read_bytes() == b"two"


def test_a_folder_that_lost_files_is_made_anew(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png(), "b/c.png": png("blue")})
    folder = unpacked(path)
    (folder / "b/c.png").unlink()
    (folder / "a.png").write_bytes(b"half")
    assert unpacked(path) == folder
    assert (folder / "b/c.png").read_bytes() == png("blue")
    assert (folder / "a.png").read_bytes() == png()
    assert len(kept(cache)) == 1


def test_names_as_windows_and_old_programs_write_them(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "a.zip",
        {"win/k1/a.png": png(), "caf__/b.png": png(), "ca=f/d.png": png(), "K/A.PNG": png()},
    )
    raw_names(path, {"win/k1/a.png": b"win\\k1\\a.png"})
    raw_names(path, {"caf__/b.png": "café/b.png".encode(), "ca=f/d.png": b"ca\x82f/d.png"})
    assert names(unpacked(path)) == {"win/k1/a.png", "café/b.png", "caéf/d.png", "K/A.PNG"}


def test_a_name_in_utf_8_beside_the_old_one(tmp_path: Path) -> None:
    old = b"caf\x82/a.png"
    entry = zipfile.ZipInfo("cafX/a.png")
    field = b"\x01" + struct.pack("<I", zlib.crc32(old)) + "日本/a.png".encode()
    entry.extra = struct.pack("<HH", 0x7075, len(field)) + field
    path = zipped(tmp_path / "a.zip", {}, (entry, png()))
    assert names(unpacked(raw_names(path, {"cafX/a.png": old}))) == {"日本/a.png"}


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
    if kind == "AES":
        return with_bytes(with_bytes(zipped(path, good), 8, b"\x01"), 10, b"\x63")
    if kind == "overlap":  # what zipfile of Python 3.11.7 unpacks: a file within a file
        return with_bytes(zipped(path, {"dog/b.png": png("blue"), **good}), 42, bytes(4))
    if kind == "last of several parts":
        zipped(path, good)
        content = bytearray(path.read_bytes())
        content[-18:-16] = b"\x02\0"
        path.write_bytes(content)
        return path
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
        "file and folder": {"cat/a.png/b.png": png()},
        "nested": {"test1.zip": b"x", "train.TAR.GZ": b"x"},
    }
    if kind == "no image":
        return zipped(path, {"a.txt": b"x", "b.mp4": b"x"})
    if kind == "nested":
        return zipped(path, more[kind])
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
        ("AES", r"cat/a\.png: it is encrypted; unpack it with its password"),
        ("deflate64", r"compressed in an unusual way \(deflate64\); unpack it with the program"),
        ("overlap", r"b\.png: it overlaps with what follows it"),
        ("file and folder", r"cat/a\.png: it is a file and a folder at once"),
        ("last of several parts", r"the last of several parts .*zip -s 0 photos\.zip"),
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
    assert kept(cache) == []
    assert not (tmp_path / "evil.png").exists()


def test_an_entry_within_another_one(tmp_path: Path, cache: Path) -> None:
    """A bomb that quotes entries in entries unpacks the same bytes time and again."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as whole:
        whole.writestr("b.png", png())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as whole:
        whole.writestr("a.png", inner.getvalue())  # stored as it is
        quoted = zipfile.ZipFile(inner).infolist()[0]
        quoted.header_offset += whole.filelist[0].header_offset + len(b"a.png") + 30
        whole.filelist.append(quoted)
    with pytest.raises(DatasetError, match=r"a\.png: it overlaps with what follows it"):
        unpack_images(tmp_path / "a.zip")
    assert kept(cache) == []


def test_whatever_is_damaged_is_one_error_or_set_aside(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"k/{number}.png": 3 * png() for number in range(3)})
    good, chance = path.read_bytes(), random.Random(0)
    for _ in range(200):
        content = bytearray(good)
        for _ in range(chance.choice([1, 2, 8])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            found = unpack_images(path)
        except DatasetError as error:
            assert str(error).isprintable()  # noqa: PT017 - most are errors, some are not
        else:
            for left in found.left_out:
                assert "\n" not in left.reason
        assert not [left for left in kept(cache) if left.suffix == ".partial"]
    assert set(tmp_path.iterdir()) == {path, tmp_path / "cache"}


def test_blank_pictures_may_be_tight(tmp_path: Path) -> None:
    blank = io.BytesIO()
    Image.new("L", (3000, 3000)).save(blank, "bmp")
    assert names(unpacked(zipped(tmp_path / "a.zip", {"a.bmp": blank.getvalue()})))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_two_files_of_one_name(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"k/a.png": png(), "k/b.png": png("blue")})
    found = unpack_images(raw_names(path, {"k/b.png": b"k/a.png"}))
    assert (found.folder / "k/a.png").read_bytes() == png()
    assert (found.folder / "k/a (2).png").read_bytes() == png("blue")
    assert found.notes == (
        "understood: names that stand for several files of the zip file get a number: 1, such as "
        "k/a.png, of which one is k/a (2).png.",
    )


@pytest.mark.parametrize("same_place", [True, False])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_an_entry_that_is_there_twice(tmp_path: Path, same_place: bool) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as whole:
        whole.writestr("a.png", png())
        if same_place:  # the directory lists it twice, as some programs write
            whole.filelist.append(whole.filelist[0])
        else:
            whole.writestr("a.png", png())
    found = unpack_images(tmp_path / "a.zip")
    assert names(found.folder) == {"a.png"}
    assert found.notes == ("entries of the zip file that repeat another one: 1.",)


def test_names_that_differ_in_case_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"K/a.png": png(), "K/A.png": png("blue"), "K/A.PNG": png()}
    assert names(unpacked(zipped(tmp_path / "a.zip", content))) == set(content)
    # As on the disks of macOS and Windows.
    monkeypatch.setattr(zipped_images, "_case_matters", lambda folder: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mac"))
    found = unpack_images(tmp_path / "a.zip")
    assert names(found.folder) == {"K/a.png", "K/A (2).png", "K/A (3).PNG"}
    assert (found.folder / "K/A (2).png").read_bytes() == png("blue")


def test_sizes_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {f"{n}.png": png() for n in range(3)} | {"a.txt": b"x"})
    monkeypatch.setattr(unzipping, "_MOST_FILES", 3)
    with pytest.raises(DatasetError, match="at most 3 files in it, received more"):
        unpack_images(path)  # and none of its names is kept in memory
    monkeypatch.setattr(unzipping, "_MOST_FILES", 4)
    unpack_images(path)
    monkeypatch.setenv(LIMIT, "1e-8")
    path = zipped(tmp_path / "b.zip", {"a.png": png("blue")})
    with pytest.raises(OutputError, match=rf"needs 0\.0 MB, .* 0\.0 MB together; set {LIMIT} to"):
        unpack_images(path)
    monkeypatch.setenv(LIMIT, "much")
    with pytest.raises(ArgumentError, match=f"{LIMIT} must be a number of gigabytes.*'much'"):
        unpack_images(path)


def test_a_disk_that_is_too_small(tmp_path: Path, cache: Path, monkeypatch) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png()})
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match="free some space"):
        unpack_images(path)
    assert kept(cache) == []


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "No space left on device; free some space"), (errno.EROFS, "Read-only file")],
)
def test_a_disk_that_fills_up_on_the_way(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png(), "b.png": png("blue")})
    before = path.read_bytes()

    def full(done: int, total: int | None) -> None:
        if done > len(png()):
            raise OSError(number, os.strerror(number))

    with pytest.raises(OutputError, match=rf"cannot be unpacked into .*{message}.*yourself"):
        unpack_images(path, progress=full)
    assert kept(cache) == []
    assert path.read_bytes() == before


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png()})
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot be unpacked into .*unpack it yourself"):
        unpack_images(path)


def test_a_name_that_the_disk_does_not_take(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x" * 300 + ".png": png()})
    with pytest.raises(OutputError, match="File name too long"):
        unpack_images(path)
    assert kept(cache) == []


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no file .*none\.zip"):
        unpack_images(tmp_path / "none.zip")
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

print(unpack_images(Path(sys.argv[1]), progress=slowly).folder, flush=True)
"""


def start(path: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(path), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_process_leaves_nothing_that_counts(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"{number}.png": png() for number in range(50)})
    with start(path, 0.2) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    (left,) = kept(cache)
    assert left.name.endswith(".partial")
    assert len(names(unpacked(path))) == 50
    assert not left.exists()


def test_ctrl_c_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"{number}.png": png() for number in range(50)})
    with start(path, 0.2) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait() != 0
    assert kept(cache) == []


def test_two_processes_at_once(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"{number}.png": png() for number in range(20)})
    with start(path, 0.02) as one, start(path, 0.02) as other:
        outputs = [process.communicate()[0].splitlines() for process in (one, other)]
    assert outputs[0][-1] == outputs[1][-1]
    # One of them unpacked, the other one waited for it.
    assert sorted(len(output) for output in outputs) == [1, 21]
    assert len(names(Path(outputs[0][-1]))) == 20
    assert len(kept(cache)) == 1


def test_what_is_damaged_is_set_aside(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"k/a.png": png(), "k/b.png": png("blue")})
    good = path.read_bytes()
    place = good.index(b"k/b.png") + len("k/b.png") + 8
    path.write_bytes(good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :])
    for _ in range(2):  # unpacked, and unpacked before
        found = unpack_images(path)
        assert names(found.folder) == {"k/a.png"}
        (left,) = found.left_out
        assert left.path == "k/b.png"
        assert re.match(r"damaged in the zip file \(.*\); copy or download it again", left.reason)
    # A good copy has the same names, sizes and checksums, and is not taken for the damaged one.
    path.write_bytes(good)
    found = unpack_images(path)
    assert names(found.folder) == {"k/a.png", "k/b.png"}
    assert found.left_out == ()
    assert len(kept(cache)) == 1


def test_archives_beside_images_are_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"k/a.png": png(), "more.zip": b"PK", "k/b.7z": b"7z"})
    left = unpack_images(path).left_out
    assert [one.path for one in left] == ["k/b.7z", "more.zip"]
    assert left[0].reason.startswith("an archive in the archive, which is not looked into")


def test_other_parts_of_a_takeout_are_named(tmp_path: Path) -> None:
    first, second = (f"takeout-20240501T120000Z-1-00{number}.zip" for number in (1, 2))
    content = {
        "Takeout/Google Fotos/Kuh/1.jpg": png(),
        "Takeout/Google Fotos/Kuh/1.jpg.supplemental-metadata.json": b"{}",
        "Takeout/Google Fotos/Kuh/Metadaten.json": b"{}",
    }
    path = zipped(tmp_path / first, content)
    found = unpack_images(path)
    note = "understood: 2 files of Google Takeout on the photos (.json) are not needed."
    assert (found.left_out, found.notes) == ((), (note,))
    zipped(tmp_path / second, content)
    (tmp_path / "takeout-20230101T120000Z-1-003.zip").touch()  # of another one
    assert unpack_images(path).notes == (
        note,
        f"{first} is one part of a Google Takeout; {second} beside it is not read. For all of them "
        "together unpack them into one folder, and name that.",
    )


def test_more_entries_than_16_bits_count(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as whole:
        whole.writestr("k/a.png", png())
        for number in range(66_000):
            whole.writestr(zipfile.ZipInfo(f"k/{number}/"), b"")
    assert names(unpacked(tmp_path / "a.zip")) == {"k/a.png"}


def test_a_folder_around_all_and_entries_for_folders(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"./": b"", "k/": b"", "k/l/": b"", "k/l/a.png": png()})
    assert names(unpacked(path)) == {"k/l/a.png"}


def test_paths_through_a_zip_file(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"k/a.png": png()})
    zips = ZipPaths()
    assert zips.real(path / "k/a.png").read_bytes() == png()
    assert zips.real(path) == unpacked(path)
    for other in (tmp_path / "a.png", tmp_path / "none.zip" / "a.png", tmp_path):
        assert zips.real(other) == other


def test_files_are_called_as_in_the_zip_file(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"k/a.png": b"no image"})
    file = unpacked(path) / "k/a.png"
    with pytest.raises(ImageError, match=rf"^{re.escape(str(path))}/k/a\.png must be an image"):
        image_size(file)
    file.unlink()
    with pytest.raises(ImageError, match=rf"there is no file {re.escape(str(path))}/k/a\.png"):
        image_size(file)
    assert lasting(file) == path / "k/a.png"


def test_memory_is_bounded(tmp_path: Path) -> None:
    noise = os.urandom(30_000_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as whole:
        whole.writestr("a.tif", noise)
    del noise
    tracemalloc.start()
    unpack_images(tmp_path / "a.zip")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3_000_000
