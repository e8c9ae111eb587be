"""The documents say what is so: their code runs, their links lead somewhere, the site builds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import griffe
import pytest
import torch
import yaml

import lamplighter
from lamplighter.inference.predictor import predict_pixels
from tests.doc_examples import (
    PAGES,
    ROOT,
    blocks,
    check_command,
    commands,
    differs,
    run_page,
)

DOCS = ROOT / "docs"
LANGUAGES = {"python", "text", "console", "sh", "toml"}
RUN = [page for page in PAGES if {language for language, _ in blocks(page)} & {"python", "console"}]
COMMANDS = sorted({line for page in PAGES for line in commands(page)})
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "labs" / "README.md"]
# Not --quiet: a warning that is not shown does not fail a strict build.
BUILD = [sys.executable, "-m", "mkdocs", "build", "--strict"]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the documents' commands find what they find in a checkout."""
    for file in ("requirements.lock", "pyproject.toml", "Makefile"):
        shutil.copy(ROOT / file, tmp_path)
    for environment in (".venv", ".venv-light"):
        (tmp_path / environment).mkdir()
        (tmp_path / environment / ".installed").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_have_what_is_tested() -> None:
    used = {line.split()[1] for line in COMMANDS if line.startswith("lamplighter ")}

    assert len(RUN) > 15
    assert {"data", "audit", "transfer", "predict", "embed", "similar", "explain"} <= used
    assert {"README.md", "docs/tutorials/transfer-in-python.md", "docs/how-to/see-inside.md"} <= {
        name(page) for page in RUN
    }


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_block_is_of_a_language_that_is_checked(page: Path) -> None:
    assert {language for language, _ in blocks(page)} <= LANGUAGES


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_block_of_toml_can_be_read(page: Path) -> None:
    for language, text in blocks(page):
        if language == "toml":
            assert tomllib.loads(text)


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_is_one(line: str) -> None:
    check_command(line)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("lamplighter embed emoji --colour red", "--colour"),
        ("lamplighter embedd emoji", "no command embedd"),
        ("find . -print0 | lamplighter predict a.lamp -0 - --cvs", "--cvs"),
        ("make everything", "no target"),
        ("pip install '.[trane]'", "extra trane"),
        ("python docs/nothing.py", "no script"),
        ("rm -r photos", "nobody has checked rm"),
    ],
)
def test_a_command_that_is_none_is_found(line: str, fault: str) -> None:
    with pytest.raises(Exception, match=fault):
        check_command(line)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("a 97.2%", "a 97.0%"),
        ("a\n...\nb", "a\n1\n2\nb"),
        ("took 3.1 s", "took 45.0 s"),
        ("one   two", "one two"),
        ("wrote ... files", "wrote many files"),
    ],
)
def test_what_may_differ_does(expected: str, printed: str) -> None:
    assert differs(expected, printed) is None


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("a 97.2%", "a 87.2%"),
        ("a 97.2%", "b 97.2%"),
        ("3 images", "4 images"),
        ("a\n...\nb", "a\nc"),
        ("a", "a\nb"),
        ("0.7494", "0.6494"),
    ],
)
def test_what_may_not_differ_is_found(expected: str, printed: str) -> None:
    assert "expected" in (differs(expected, printed) or "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n", "expected\n3\nprinted\n2"),
        ("```python\nprint(one)\n```\n", "name 'one' is not defined"),
        ("```console\n$ echo two\nthree\n```\n", "expected\nthree\nprinted\ntwo"),
        ("```console\n$ false\n```\n", "ends with 1"),
        ("```sh\nlamplighter train photos --sise 3\n```\n", "--sise"),
    ],
)
def test_an_example_that_does_something_else_fails(
    text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{text}")

    with pytest.raises(AssertionError, match=r"page\.md:\d: ") as raised:
        run_page(page)

    assert fault in str(raised.value)


@pytest.mark.parametrize("page", RUN, ids=name)
@pytest.mark.slow
def test_the_blocks_of_a_page_run(page: Path, checkout: Path) -> None:
    names = run_page(page)

    made = {path.name for path in checkout.iterdir()}
    if page.stem == "README":
        assert {"digits.lamp", "better.lamp", "mistakes.png", "seen", "digits.onnx"} <= made
        assert {"drawings.lamp", "drawings.index", "similar.png", "curves"} <= made
        assert len(names["trial"].history) == 3
        assert len(names["answers"].top(3)[0]) == 3
    if page.stem == "transfer-in-python":
        assert {"best.lamp", "fits.png", "linear.lamp", "similar.index"} <= made
        assert names["moved"] > 0.1
        assert names["stays"] > 0.1
        assert names["trust"].threshold is not None
    if page.stem == "see-inside":
        assert {"why.png", "why-1.png", "maps.png", "seven.png", "map.png"} <= made
        assert len(list(Path("watched").iterdir())) == 2
    if page.stem == "own-network":
        check_own_network(names)


def check_own_network(names: dict[str, Any]) -> None:
    """The bundles answer as the networks do that were trained without Lamplighter."""
    test = names["digits"]["test"]
    inputs = (torch.from_numpy(test.images) / 255 - 0.1307) / 0.3081
    network = names["TwoLayers"]()
    for bundle in ("two-layers", "from-trial", "from-weights"):
        classifier = lamplighter.load(f"{bundle}.lamp")
        answers = predict_pixels(classifier, test.images)
        network.load_state_dict(classifier.weights())
        with torch.no_grad():
            expected = network(inputs).argmax(1).numpy()
        assert (answers.indices == expected).mean() > 0.999
        assert (answers.indices == test.labels).mean() > 0.88
    weights = [
        lamplighter.load(f"{made}.lamp").weights() for made in ("from-trial", "from-weights")
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    made = {"results.md", "changelog.md", "contributing.md", "commands.md", "errors.md"}
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))

    missing = [
        link
        for link in links
        if "://" not in link
        and not (page.parent / link).exists()
        and not (page.is_relative_to(DOCS) and (Path(link).name in made or is_lab(link)))
    ]

    assert missing == []


def is_lab(link: str) -> bool:
    """Return whether a link leads to the page of a lab, which the site makes of its notebook."""
    return (ROOT / "labs" / Path(link).with_suffix(".ipynb").name).is_file()


def test_each_public_name_is_on_one_page_of_the_reference() -> None:
    text = "".join(page.read_text() for page in sorted((DOCS / "reference" / "api").glob("*.md")))

    public = site_hooks().public_names()

    assert {"Trial", "callbacks", "callbacks.EarlyStopping"} <= public
    assert site_hooks().unlisted(text, public=public) == []


def test_a_name_that_is_on_no_page_or_on_two_is_found() -> None:
    text = (
        "::: lamplighter.one\n\n::: lamplighter.two\n\n::: lamplighter.two\n\n::: lamplighter.old\n"
    )

    faults = site_hooks().unlisted(text, public={"one", "two", "three"})

    assert [fault.split(" ", 1)[1] for fault in faults] == [
        "is on no page of docs/reference/api",
        "is on two pages",
        "is not public",
    ]


def test_a_missing_docstring_is_found(tmp_path: Path) -> None:
    package = tmp_path / "sample"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from sample.inner import Thing as Thing, plain as plain\n__all__ = ['Thing', 'plain']\n"
    )
    (package / "inner.py").write_text(
        "class Thing:\n    '''A thing.'''\n\n    def run(self): ...\n\n    def _own(self): ...\n"
        "\n\ndef plain(): ...\n"
    )
    package = griffe.load("sample", search_paths=[tmp_path])

    found = site_hooks().undocumented(package, public={"Thing", "plain"})

    assert list(found) == ["sample.Thing.run", "sample.plain"]


def site_hooks():
    """Return the module of the site's hooks that makes the reference."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("reference", DOCS / "site" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the site is built from, in a folder of its own."""
    for folder in ("docs", "labs", "src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*_files"))
    (tmp_path / "benchmarks").mkdir()
    for file in ("mkdocs.yml", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/RESULTS.md"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def build(project: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        BUILD, cwd=project, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_site_builds_and_asks_nothing_of_other_servers(project: Path) -> None:
    outcome = build(project)

    assert outcome.returncode == 0, outcome.stderr
    site = project / "build" / "site"
    assert len(list(site.rglob("*.html"))) >= 50
    fetched_from = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)')
    fetched = [
        (page.name, address)
        for page in site.rglob("*.html")
        for address in fetched_from.findall(page.read_text())
    ]
    assert fetched == []
    assert "--show-input" in (site / "reference" / "commands.html").read_text()
    assert "NonFiniteLossError" in (site / "reference" / "errors.html").read_text()


@pytest.mark.parametrize(
    ("page", "added", "fault"),
    [
        ("how-to/index.md", "[gone](gone.md)", "gone.md"),
        ("how-to/index.md", "[gone](folders.md#gone)", "#gone"),
        ("how-to/lost.md", "# Lost", "lost.md"),
        ("reference/api/files.md", "::: lamplighter.nothing", "lamplighter.nothing"),
    ],
    ids=["a broken link", "a broken anchor", "a page that is not in nav", "a name that is none"],
)
@pytest.mark.slow
def test_a_fault_fails_the_build(page: str, added: str, fault: str, project: Path) -> None:
    path = project / "docs" / page
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n\n{added}\n")

    outcome = build(project)

    assert outcome.returncode != 0
    assert fault in outcome.stderr


@pytest.mark.slow
def test_a_missing_page_and_a_missing_docstring_fail_the_build(
    project: Path,
) -> None:
    (project / "docs" / "how-to" / "server.md").unlink()
    root = project / "src" / "lamplighter" / "__init__.py"
    root.write_text(f"{root.read_text()}\n\ndef told(): ...\n\n\n__all__.append('told')\n")

    outcome = build(project)

    assert outcome.returncode != 0
    assert "how-to/server.md" in outcome.stderr
    assert "lamplighter.told has no docstring" in outcome.stderr


def test_each_picture_of_the_studio_is_small_and_there_for_each_look() -> None:
    pictures = sorted((DOCS / "images" / "studio").iterdir())
    looks: dict[str, set[str]] = {}
    for picture in pictures:
        view, _, look = picture.stem.rpartition("-")
        looks.setdefault(view, set()).add(look)
        assert picture.stat().st_size < 150_000, picture

    assert {"gallery", "open"} <= looks.keys()
    assert all(found == {"light", "dark", "phone"} for found in looks.values()), looks


def test_each_picture_is_drawn_by_the_script_is_shown_and_is_small() -> None:
    script = (DOCS / "draw_pictures.py").read_text()
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)

    for picture in sorted((DOCS / "pictures").iterdir()):
        assert f'"{picture.stem}": ' in script
        assert f"pictures/{picture.name})" in shown
        assert picture.stat().st_size < 150_000


def test_each_page_is_in_nav() -> None:
    class Loader(yaml.SafeLoader):
        """Reads the tags that mkdocs knows as well."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    named = re.findall(
        r"[\w/-]+\.md", str(yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"])
    )

    assert {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} <= set(named)
    assert len(named) == len(set(named))
