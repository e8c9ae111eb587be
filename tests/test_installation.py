"""What is said to install what is missing: from where this came, never by its name alone."""

from __future__ import annotations

import json
import re
import shlex
from importlib import metadata
from pathlib import Path

import pytest

from lamplighter import installation
from lamplighter.errors import MissingPackageError
from lamplighter.installation import install_command

ROOT = Path(__file__).parents[1]
_BY_HAND = "pip install '.[train]' in the folder of Lamplighter's source, or"
_TEXTS = (".cfg", ".ini", ".ipynb", ".md", ".py", ".toml", ".txt", ".yaml", ".yml")


@pytest.fixture
def noted(monkeypatch, tmp_path):
    """Give what notes the origin of an installation that does not run from its source."""
    package = tmp_path / "site-packages" / "lamplighter"
    monkeypatch.setattr(installation, "__file__", str(package / "installation.py"))

    class Distribution:
        text: str | None = None

        def read_text(self, name):
            assert name == "direct_url.json"
            return self.text

    distribution = Distribution()
    monkeypatch.setattr(metadata, "distribution", lambda name: distribution)

    def note(content):
        distribution.text = content if isinstance(content, str) else json.dumps(content)

    return note


def test_from_a_checkout_its_folder_is_named():
    words = shlex.split(install_command())
    assert words == ["pip", "install", f"{ROOT}[train]"]
    assert shlex.split(install_command("train,labs"))[-1] == f"{ROOT}[train,labs]"


def test_from_a_folder_or_wheel_that_is_still_there(noted, tmp_path):
    for name in ("my lamp", "lamplighter-0.1.0-py3-none-any.whl"):
        place = tmp_path / name
        place.mkdir()
        noted({"url": place.as_uri(), "archive_info": {}})
        assert shlex.split(install_command()) == ["pip", "install", f"{place}[train]"]


def test_from_an_address_it_is_named_with_the_very_version(noted):
    noted({"url": "https://example.org/a.whl", "archive_info": {"hash": "sha256=0"}})
    assert install_command() == "pip install 'lamplighter[train] @ https://example.org/a.whl'"
    version = {"vcs": "git", "requested_revision": "main", "commit_id": "abc"}
    noted({"url": "https://example.org/lamp", "vcs_info": version})
    expected = "lamplighter[labs] @ git+https://example.org/lamp@abc"
    assert shlex.split(install_command("labs"))[-1] == expected


@pytest.mark.parametrize(
    "note", ["", "{}", "no JSON", "[]", '{"url": 3}', '{"url": "file:///no/such/folder"}']
)
def test_where_nothing_is_known_it_says_what_to_put_there(noted, note):
    noted(note)
    assert install_command().startswith(_BY_HAND)
    assert "FILE.whl[train]" in install_command()


def test_where_there_is_no_installation_at_all(noted, monkeypatch):
    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", none)
    assert install_command().startswith(_BY_HAND)


def test_a_missing_package_is_told_with_what_installs_it():
    error = MissingPackageError.of("training", ImportError(name="torch"))
    assert str(error) == f"training needs torch, which is not installed; {install_command()}."


def _texts() -> list[Path]:
    """Return the files of the project that people and machines read commands in."""
    places = ["src", "labs", "docs", "benchmarks", "data-sources", ".github"]
    files = [path for place in places for path in (ROOT / place).rglob("*")]
    files += [path for path in ROOT.iterdir() if path.is_file()]
    return [path for path in files if path.suffix in _TEXTS or path.name == "Makefile"]


def test_nothing_is_fetched_by_a_name_that_may_be_somebody_elses():
    by_name = re.compile(r"""pip3? +install[^\n#]*?[ '"]lamplighter(\[[\w,]+\])?+(?![\w-]| @ )""")
    address = re.compile(r"(github|gitlab)\.com/lamplighter|pypi\.org/project/lamplighter")
    assert by_name.search('pip install --quiet "lamplighter[train]"')
    assert by_name.search("pip install -U lamplighter.")
    assert not by_name.search("pip install 'lamplighter[train] @ https://example.org/a.whl'")
    assert not by_name.search("pip install './lamplighter-0.1.0-py3-none-any.whl[train]'")
    found = _texts()
    assert len(found) > 200
    for path in found:
        text = path.read_text("utf-8")
        assert not by_name.search(text), path
        assert not address.search(text), path
