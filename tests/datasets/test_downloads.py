from __future__ import annotations

import errno
import os
import random
import shutil
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from lamplighter.datasets import downloads
from lamplighter.datasets.downloads import download, opener
from lamplighter.errors import DownloadError, OutputError
from tests.web_server import Web, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = random.Random(0).randbytes(700_000)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Web(CONTENT)) as web:
        yield web


def fetch(web: Web, folder: Path, waits: tuple[float, ...] = (), **options: Any) -> bytes:
    return download(web.url + "/file.zip", folder, waits=waits, **options).read_bytes()


def ranges(web: Web) -> list[str | None]:
    return [asked.get("range") for asked in web.asked]


def test_a_file_is_fetched_with_its_progress(web: Web, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    content = fetch(web, tmp_path / "d", progress=lambda done, of: told.append((done, of)))
    assert content == CONTENT
    assert told == sorted(told)
    assert told[-1] == (700_000, 700_000)
    assert len(told) > 2


def test_what_is_complete_is_not_asked_for_again(web: Web, tmp_path: Path) -> None:
    fetch(web, tmp_path / "d")
    assert fetch(web, tmp_path / "d") == CONTENT
    assert len(web.asked) == 1


@pytest.mark.parametrize("etag", ['"one"', None])
def test_the_next_run_goes_on_where_it_broke_off(web: Web, tmp_path: Path, etag: str) -> None:
    web.etag, web.cuts = etag, [300_000]
    with pytest.raises(DownloadError, match=r"broke off after 0.3 MB of 0.7 MB .* run the same"):
        fetch(web, tmp_path / "d")
    assert fetch(web, tmp_path / "d") == CONTENT
    assert ranges(web) == [None, "bytes=300000-"]
    assert web.asked[1].get("if-range") == etag


def test_it_goes_on_by_itself_as_long_as_more_arrives(web: Web, tmp_path: Path) -> None:
    web.cuts = [100_000] * 6
    assert fetch(web, tmp_path / "d", waits=(0, 0)) == CONTENT
    assert len(web.asked) == 7


def test_it_gives_up_where_nothing_more_arrives(web: Web, tmp_path: Path) -> None:
    web.cuts = [100_000, *[0] * 9]
    with pytest.raises(DownloadError, match="to continue"):
        fetch(web, tmp_path / "d", waits=(0, 0))
    assert len(web.asked) == 3  # one that brought something, and two more


def test_without_ranges_it_begins_anew_and_ends(web: Web, tmp_path: Path) -> None:
    web.ranges, web.cuts = False, [300_000]
    assert fetch(web, tmp_path / "d", waits=(0,)) == CONTENT
    web.cuts = [300_000] * 9
    with pytest.raises(DownloadError, match="broke off"):
        fetch(web, tmp_path / "e", waits=(0, 0))
    assert len(web.cuts) == 6


@pytest.mark.parametrize("etag", ['"two"', 'W/"two"', None])
def test_a_file_that_changed_meanwhile_is_fetched_anew(
    web: Web, tmp_path: Path, etag: str | None
) -> None:
    web.cuts = [300_000]
    with pytest.raises(DownloadError):
        fetch(web, tmp_path / "d")
    web.content, web.etag = CONTENT[::-1][:650_000], etag
    assert fetch(web, tmp_path / "d", waits=(0,)) == web.content


def test_a_file_that_became_shorter(web: Web, tmp_path: Path) -> None:
    web.etag, web.cuts = None, [300_000]
    with pytest.raises(DownloadError):
        fetch(web, tmp_path / "d")
    web.content = CONTENT[:1000]
    assert fetch(web, tmp_path / "d", waits=(0,)) == CONTENT[:1000]


def test_another_address_begins_anew(web: Web, tmp_path: Path) -> None:
    web.cuts = [300_000]
    with pytest.raises(DownloadError):
        fetch(web, tmp_path / "d")
    other = download(web.url + "/other.zip", tmp_path / "d", waits=())
    assert other.read_bytes() == CONTENT
    assert ranges(web) == [None, None]


@pytest.mark.parametrize("notes", ["", "[]", '{"url": 3}', '{"u": "x"}'])
def test_damaged_notes_begin_anew(web: Web, tmp_path: Path, notes: str) -> None:
    web.cuts = [300_000]
    with pytest.raises(DownloadError):
        fetch(web, tmp_path / "d")
    (tmp_path / "d" / "state.json").write_text(notes)
    assert fetch(web, tmp_path / "d") == CONTENT
    assert ranges(web) == [None, None]


def test_a_server_that_does_not_say_the_size(web: Web, tmp_path: Path) -> None:
    web.sized = False
    assert fetch(web, tmp_path / "d") == CONTENT


@pytest.mark.parametrize(
    ("status", "message", "requests"),
    [(404, "answers 404 Not Found: check the address", 1), (403, "may not be read by every", 1),
     (503, "cannot be reached .the server answers 503", 3)],
)  # fmt: skip
def test_refusals(web: Web, tmp_path: Path, status: int, message: str, requests: int) -> None:
    web.status = status
    with pytest.raises(DownloadError, match=message):
        fetch(web, tmp_path / "d", waits=(0, 0))
    assert len(web.asked) == requests


def test_redirects_are_followed_on_the_web_alone(web: Web, tmp_path: Path) -> None:
    assert download(web.url + "/moved", tmp_path / "d").read_bytes() == CONTENT
    (tmp_path / "secret").write_text("secret")
    for address in (f"file://{tmp_path}/secret", "ftp://127.0.0.1/x", "/moved"):
        web.moved = address
        with pytest.raises(DownloadError, match=r"answers 302 .*: it leads to no file on the web"):
            download(web.url + "/moved", tmp_path / "e")


def test_https_is_not_left() -> None:
    (handler,) = [h for h in opener().handlers if hasattr(h, "redirect_request")]
    request = urllib.request.Request("https://a.example/x")
    arguments = (None, 302, "Found", {})
    with pytest.raises(urllib.error.HTTPError, match=r"leads to http://b\.example"):
        handler.redirect_request(request, *arguments, "http://b.example/x")
    assert handler.redirect_request(request, *arguments, "https://b.example/x") is not None


def test_no_server(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match=r"cannot be reached .*refused.*needs the internet"):
        download(f"http://127.0.0.1:{port}/x", tmp_path / "d", waits=(60,))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "ftp://a.example/x", "https://", "http://a:b/x", "http://a b",
            "http://a.example/\n", "a.example/x"],
)  # fmt: skip
def test_addresses_that_are_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="the address must be that of a file on the web"):
        download(url, tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sized", [True, False])
def test_a_file_beyond_the_limit(web: Web, tmp_path: Path, sized: bool) -> None:
    web.sized = sized
    with pytest.raises(DownloadError, match=r"a file of at most 0\.5 MB"):
        fetch(web, tmp_path / "d", limit=500_000)
    assert not (tmp_path / "d" / "content").exists()


def test_a_disk_that_is_too_small(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=50_000_000)
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match=r"needs 0\.7 MB more, received .* 50\.0 MB free"):
        fetch(web, tmp_path / "d")


def test_a_disk_that_becomes_full(web: Web, tmp_path: Path) -> None:
    class Full:
        def write(self, chunk: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fetching = downloads._Fetch(web.url, tmp_path, progress=None, limit=10**9, timeout=1)
    with pytest.raises(OutputError, match=r"No space .*run the same command again"):
        fetching._append(Full(), b"x")  # type: ignore[arg-type]


def test_a_folder_of_somebody_else(web: Web, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "content").write_text("mine")
    with pytest.raises(OutputError, match="rename or remove it"):
        fetch(web, tmp_path / "d")
    assert (tmp_path / "d" / "content").read_text() == "mine"
    assert web.asked == []
