"""What is released: a wheel that holds all it reads, installs anywhere, and an sdist that tests."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lamplighter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

ROOT = Path(__file__).parents[1]
LARGEST = 60 * 1000**2  # bytes of a wheel
SOURCES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "NOTICE", "src", "labs")
# What the base alone does not do: train networks and look into them.
NEEDS_TORCH = {
    "explain",
    "feature-maps",
    "filters",
    "layers",
    "maximise",
    "train",
}
TOLD = re.compile(
    r"lamplighter: .* needs [\w, -]+(, which is not installed)?; pip install .+\[\w+.*"
)


def run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program somewhere, with nothing of this environment but what it needs."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def build(kind: str, source: Path, target: Path) -> Path:
    """Return the distribution that is built of a folder, with the packages that are here."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir"]
    done = run([*command, str(target), str(source)], target)
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def copied(target: Path) -> Path:
    """Return a copy of what a wheel is built of."""
    target.mkdir()
    for name in SOURCES:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, target / name)
    return target


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def data_files() -> Iterator[str]:
    """Give what the package reads beside its modules, as a wheel is to have it."""
    package, labs = ROOT / "src" / "lamplighter", ROOT / "labs"
    for path in package.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            yield f"lamplighter/{path.relative_to(package).as_posix()}"
    for path in (labs / "labs.toml", *labs.glob("*.ipynb")):
        yield f"lamplighter/teaching/labs/{path.name}"


def missing_from(wheel: Path) -> list[str]:
    """Return the data files that a wheel does not have."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(set(data_files()) - set(archive.namelist()))


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return HeaderParser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_every_data_file_and_is_small(wheel):
    expected = {".xz", ".csv", ".jpg", ".toml", ".onnx", ".json", ".txt"}
    assert {Path(name).suffix for name in data_files()} >= expected
    assert missing_from(wheel) == []
    assert wheel.stat().st_size <= LARGEST


def test_a_wheel_that_misses_a_data_file_is_found(tmp_path):
    source = copied(tmp_path / "source")
    settings = source / "pyproject.toml"
    text = settings.read_text("utf-8")
    without = text.replace('exclude = ["labs/solutions"', 'exclude = ["*.xz", "labs/solutions"')
    assert without != text
    settings.write_text(without, "utf-8")

    missing = missing_from(build("wheel", source, tmp_path))

    assert {Path(name).suffix for name in missing} == {".xz"}
    assert any(name.endswith("mnist_files/train-images-idx3-ubyte.xz") for name in missing)


def test_the_networks_in_the_wheel_are_those_of_the_checkout(wheel):
    from lamplighter.models.fetching import BUNDLED

    folder = ROOT / "src" / "lamplighter" / "models" / "backbone_files"
    files = {f"{name}{suffix}" for name in BUNDLED for suffix in (".onnx", ".json")}
    assert {path.name for path in folder.iterdir()} == files | {"imagenet.txt"}
    with zipfile.ZipFile(wheel) as archive:
        for path in folder.iterdir():
            packed = archive.read(f"lamplighter/models/backbone_files/{path.name}")
            assert packed == path.read_bytes()


def test_the_wheel_holds_the_package_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    info = f"lamplighter-{lamplighter.__version__}.dist-info/"
    assert all(name.startswith(("lamplighter/", info)) for name in names)
    assert not [name for name in names if "solutions" in name or "/tests/" in name]


def test_its_metadata_says_where_it_runs_and_names_no_address(wheel):
    metadata = metadata_of(wheel)
    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    assert metadata.get_all("Project-URL") is None
    classifiers = metadata.get_all("Classifier")
    for minor in (11, 12, 13):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    assert {"heif", "labs", "train"} <= set(metadata.get_all("Provides-Extra"))


def test_the_addresses_follow_from_that_of_the_labs(tmp_path):
    source = copied(tmp_path / "source")
    labs = source / "labs" / "labs.toml"
    text = labs.read_text("utf-8")
    labs.write_text(text.replace('repository = ""', 'repository = "https://example.org/me/lamp/"'))

    urls = metadata_of(build("wheel", source, tmp_path)).get_all("Project-URL")

    assert "Source, https://example.org/me/lamp" in urls
    assert "Changelog, https://example.org/me/lamp/blob/main/CHANGELOG.md" in urls


def readme_commands() -> list[list[str]]:
    """Return the commands in the README's blocks, in their order, without `lamplighter`."""
    page = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    text = "".join(content for language, content in blocks if language != "python")
    lines = re.findall(r"^(?:\$ )?lamplighter (.*)", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def expanded(words: list[str], folder: Path) -> list[str]:
    """Return the words of a command with patterns replaced by paths, as a shell does it."""
    found = [sorted(folder.glob(word)) if "*" in word else [] for word in words]
    return [
        name
        for word, paths in zip(words, found, strict=True)
        for name in ([str(path.relative_to(folder)) for path in paths] or [word])
    ]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder of programs of a fresh environment with the base alone, of pinned packages."""
    folder = tmp_path_factory.mktemp("environment")
    done = run([sys.executable, "-m", "venv", str(folder / "venv")], folder)
    assert done.returncode == 0, done.stderr
    programs = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    pins = ROOT / "requirements.lock"
    install = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--constraint"]
    done = run([*install, str(pins), str(wheel)], folder)
    assert done.returncode == 0, done.stderr
    return programs


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, tiny_digits) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "digits.lamp"
    return lamplighter.save(lamplighter.train(tiny_digits, epochs=1, verbose=0), path)


@pytest.mark.slow
def test_the_readme_runs_where_the_wheel_alone_is_installed(installed, bundle, tmp_path):
    """Light commands do their work; the others say in one line what installs what they need."""
    program = str(installed / "lamplighter")
    shutil.copy(bundle, tmp_path / "digits.lamp")
    assert run([program, "data", "digits", "digits"], tmp_path).returncode == 0
    code = "import lamplighter; print(lamplighter.__file__)"
    place = run([str(installed / "python"), "-c", code], tmp_path)
    assert Path(place.stdout.strip()).is_relative_to(installed.parent)

    ran: set[str] = set()
    absent: set[str] = set()  # what commands would have written that were not done
    for words in readme_commands():
        done = run([program, *expanded(words, tmp_path)], tmp_path, XDG_CACHE_HOME=str(tmp_path))
        assert "Traceback" not in done.stderr
        if words[0] in NEEDS_TORCH or words[:2] == ["labs", "check"]:
            assert done.returncode == 1
            assert TOLD.fullmatch(done.stderr.strip().splitlines()[-1]), (words, done.stderr)
            for word in words:
                if word.endswith(".lamp"):
                    shutil.copy(bundle, tmp_path / word)
            absent |= {word for word in words if word.endswith(".index")}
        elif absent.intersection(words):
            assert done.returncode == 1
        else:
            assert done.returncode == 0, (words, done.stdout, done.stderr)
            ran.add(words[0])
    assert {"predict", "info"} <= ran


@pytest.mark.slow
def test_an_install_without_an_extra_says_in_one_line_what_installs_it(installed, bundle, tmp_path):
    program = str(installed / "lamplighter")
    run([program, "data", "digits", "digits"], tmp_path)
    digit = "digits/digit-3.jpg"
    explain, check = ["explain", str(bundle), digit], ["labs", "check", "x.ipynb"]
    for command in (["train", "mnist"], explain, check):
        done = run([program, *command], tmp_path)
        [line] = done.stderr.strip().splitlines()
        assert done.returncode == 1
        assert TOLD.fullmatch(line), line
    code = "import lamplighter\ntry:\n lamplighter.Trial\nexcept ImportError as error: print(error)"
    done = run([str(installed / "python"), "-c", code], tmp_path)
    assert done.stdout.startswith("lamplighter.Trial needs torch, which is not installed; pip")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """The sdist, built and unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder)) as archive:
        archive.extractall(folder, filter="data")
    [found] = [path for path in folder.iterdir() if path.is_dir()]
    return found


def test_the_sdist_holds_what_the_checkout_has(unpacked):
    caches = {"__pycache__", ".git", ".venv", "build", "dist", "digits.lamp"}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    tracked = set(listed.stdout.split("\n")) - {""} if (ROOT / ".git").exists() else set()
    tracked = tracked or {path.name for path in ROOT.iterdir()} - caches
    missing = [name for name in tracked if not (unpacked / name).exists()]
    assert missing == []


@pytest.mark.slow
def test_the_tests_pass_from_the_sdist(unpacked):
    """All are collected; of the rooms that need no training, and of the pages, they are run."""
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    variables = {"PYTHONPATH": str(unpacked / "src"), "OMP_NUM_THREADS": "1"}
    done = run([*pytest_, "--collect-only", "tests"], unpacked, **variables)
    assert done.returncode == 0, done.stdout[-3000:]
    chosen = ["tests/test_errors.py", "tests/test_names.py", "tests/test_installation.py"]
    chosen += ["tests/test_docs.py", "tests/models", "tests/saving", "tests/inference"]
    done = run([*pytest_, *chosen], unpacked, **variables)
    assert done.returncode == 0, done.stdout[-3000:]
