"""The files that GitHub, editors, containers and citations read: they parse, and name what is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import lamplighter

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
YAML_FILES = sorted(
    path
    for pattern in (".github/**/*.yml", ".pre-commit-config.yaml", "CITATION.cff")
    for path in ROOT.glob(pattern)
)
PLAIN_FILES = ["Dockerfile", ".devcontainer/devcontainer.json"]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def targets() -> set[str]:
    """Return what the Makefile can make."""
    found = re.findall(r"^([\w./$()-]+):(?!=)", read("Makefile"), re.MULTILINE)
    return {name.replace("$(STAMP)", ".venv/.installed") for name in found}


def workflow() -> dict:
    return yaml.safe_load(read(".github/workflows/ci.yml"))


def steps() -> list[dict]:
    return [step for job in workflow()["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_yaml_parses(path):
    assert isinstance(yaml.safe_load(path.read_text("utf-8")), dict)


def test_a_make_target_that_is_named_exists():
    assert {"demo", "test", ".venv/.installed"} <= targets()
    texts = [path.read_text("utf-8") for path in YAML_FILES] + [read(name) for name in PLAIN_FILES]
    named = {
        target
        for text in texts
        for target in re.findall(r'(?:run: |entry: |postCreateCommand": "|`)make ([\w./-]+)', text)
    }
    assert {"docs", "test", "test-slow", "labs-check", ".venv/.installed"} <= named
    assert named <= targets()


def test_ci_checks_on_three_systems_and_each_python_that_is_promised():
    jobs = workflow()["jobs"]
    assert {"check", "tests", "slow", "wheel", "install", "docs"} <= jobs.keys()
    install = jobs["install"]["strategy"]["matrix"]
    classifiers = [line for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert [f"Programming Language :: Python :: {one}" for one in install["python"]] == classifiers
    assert install["system"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    tests = jobs["tests"]["strategy"]["matrix"]
    assert {"macos-latest", "windows-latest"} <= set(tests["system"])
    assert PROJECT["requires-python"] == ">=3.11,<3.14"


def test_ci_may_only_read_and_runs_no_action_but_githubs_own():
    assert workflow()["permissions"] == {"contents": "read"}
    uses = [step["uses"] for step in steps() if "uses" in step]
    assert uses
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", one) for one in uses)


def test_the_extras_that_ci_installs_exist():
    text = read(".github/workflows/ci.yml")
    [extras] = re.findall(r'--editable "\.\[([\w,]+)\]"', text)
    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == lamplighter.__version__
    assert citation["cff-version"] == "1.2.0"
    assert [one["name"] for one in citation["authors"]] == [
        one["name"] for one in PROJECT["authors"]
    ]


def test_the_image_is_light_and_its_user_is_not_root():
    lines = read("Dockerfile").splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER lamplighter"]
    assert not re.search(r"\[train|torch==", read("Dockerfile"))
    copied = [
        name
        for line in lines
        if line.startswith("COPY") and "--from" not in line
        for name in line.split()[1:-1]
    ]
    assert {"pyproject.toml", "hatch_build.py", "src", "labs"} <= set(copied)
    let_through = re.findall(r"^!(.+)$", read(".dockerignore"), re.MULTILINE)
    assert sorted(copied) == sorted(let_through)
    assert all((ROOT / name).exists() for name in copied)


def test_the_container_for_editors_is_json_and_makes_what_make_makes():
    settings = json.loads(read(".devcontainer/devcontainer.json"))
    assert settings["postCreateCommand"] == "make .venv/.installed"
    interpreter = settings["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter.endswith("/.venv/bin/python")


def test_hooks_run_the_programs_that_make_test_runs():
    hooks = [
        hook
        for one in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
        for hook in one["hooks"]
    ]
    programs = {Path(hook["entry"].split()[0]).name for hook in hooks}
    assert programs == {"ruff", "mypy", "lint-imports", "make"}
    for program in programs - {"make"}:
        assert f"$(BIN)/{program}" in read("Makefile")


@pytest.mark.parametrize("page", ["SECURITY.md", ".github/pull_request_template.md"])
def test_their_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", read(page))
    assert [one for one in links if "://" not in one and not (ROOT / one).exists()] == []


def named_paths(text: str) -> set[str]:
    """Return the paths of the project that a text names, without the stop after a sentence."""
    found = re.findall(r"\b(?:src|data-sources)/[\w./*-]+", text)
    return {path.rstrip(".") for path in found}


@pytest.mark.parametrize("page", ["NOTICE", "data-sources/README.md"])
def test_a_path_that_is_named_exists(page):
    paths = named_paths(read(page))
    assert len(paths) >= 3
    assert [path for path in paths if not any(ROOT.glob(path))] == []


def test_all_that_others_made_is_named_with_its_license():
    """Each file of the package that is no code and not drawn for it."""
    package = ROOT / "src" / "lamplighter"
    foreign = [path for path in package.rglob("*") if path.suffix in (".xz", ".onnx")]
    foreign.append(package / "models" / "backbone_files" / "imagenet.txt")
    foreign += (package / "webpage" / "onnxruntime_web").glob("ort*")
    named = {path for name in named_paths(read("NOTICE")) for path in ROOT.glob(name)}
    assert len(foreign) >= 11
    assert [path.name for path in foreign if path not in named] == []
    assert read("NOTICE").count("License") > 3


def test_a_script_of_the_data_writes_where_the_package_or_a_test_reads():
    for script in (ROOT / "data-sources").glob("*.py"):  # to import them takes seconds
        [line] = re.findall(r"^TARGET = .*$", script.read_text("utf-8"), re.MULTILINE)
        folders = re.findall(r'"(\w+)"', line)
        assert folders[:2] in (["src", "lamplighter"], ["tests", "features"])
        assert ROOT.joinpath(*folders).is_dir(), line
