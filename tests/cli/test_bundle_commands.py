"""evaluate, info and export as a user meets them."""

from __future__ import annotations

import json
import resource
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from lamplighter import evaluate, load, save
from lamplighter.models.classifier import Record
from lamplighter.saving.bundle import describe

PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def other(tiny_digits, tmp_path_factory):
    """A bundle of a network that has learned nothing, of which its owner noted scores freely."""
    from lamplighter.models.classifier import Classifier

    torch.manual_seed(0)
    classifier = Classifier.new("better-cnn", tiny_digits, dropout=0.25)
    classifier.record = Record(recipe={}, scores={"test": {"acc": 0.5}, "mine": {}})
    return save(classifier, tmp_path_factory.mktemp("other") / "other.lamp")


def test_evaluate_prints_what_the_library_measures(run, trained, tiny_digits):
    outcome = run("evaluate", trained, "mnist")
    assert (outcome.code, outcome.err) == (0, "")
    report = evaluate(load(trained), tiny_digits)
    assert outcome.out.startswith(str(report))
    assert report.table() in outcome.out
    assert report.confusion_table() in outcome.out
    true, said, count = report.confusions()[0]
    assert f"most frequent mistakes: {true} predicted as {said} ({count})" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_evaluate_json_is_one_document(run, trained, tiny_digits):
    outcome = run("evaluate", trained, "mnist", "--split", "train", "--json")
    assert outcome.code == 0
    assert outcome.line.startswith("note: the classifier was trained on these 512 images")
    assert json.loads(outcome.out) == evaluate(load(trained), tiny_digits, "train").to_dict()


def test_evaluate_against_another(run, trained, other):
    outcome = run("evaluate", trained, "mnist", "--against", other)
    assert (outcome.code, outcome.err) == (0, "")
    text = " ".join(outcome.out.split())
    assert f"{trained} is right on" in text
    assert "p < 0.001: a real difference" in text
    document = json.loads(run("evaluate", trained, "mnist", "--against", other, "--json").out)
    assert set(document) == {"a", "b", "test"}
    assert document["a"]["accuracy"]["value"] > document["b"]["accuracy"]["value"]


def test_evaluate_draws(run, trained, tmp_path):
    confusion, mistakes = tmp_path / "confusion.png", tmp_path / "mistakes.png"
    arguments = ("evaluate", trained, "mnist", "--confusion", confusion, "--mistakes", mistakes)
    assert run(*arguments, "--json").code == 0
    for path in (confusion, mistakes):
        assert path.read_bytes().startswith(PNG)
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 10
    confusion.write_text("mine")
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert f"{confusion} already exists: choose another --confusion" in outcome.line
    assert confusion.read_text() == "mine"
    outcome = run(*arguments, "--force")
    assert outcome.out.endswith(f"wrote {confusion}\nwrote {mistakes}\n")
    assert confusion.read_bytes().startswith(PNG)


def test_evaluate_writes_a_page(run, trained, tmp_path):
    page = tmp_path / "digits.html"
    outcome = run("evaluate", trained, "mnist", "--page", page)
    assert outcome.out.splitlines()[-1] == f"wrote {page}"
    text = page.read_text()
    assert f"lamplighter predict {trained.name} digit.jpg" in text
    assert text.count("<img ") == 24
    again = run("evaluate", trained, "mnist", "--page", page)
    assert again.code == 1
    assert "--force" in again.line
    other = run("evaluate", trained, "mnist", "--page", tmp_path / "page.pdf")
    assert "--page writes HTML" in other.line


@pytest.mark.parametrize("option", ["--confusion", "--mistakes"])
def test_evaluate_refuses_a_picture_of_another_kind_than_its_name(run, trained, tmp_path, option):
    picture = tmp_path / "a.jpg"
    outcome = run("evaluate", trained, "mnist", option, picture)
    assert outcome.code == 1
    assert f"{option} must be a file ending in .png" in outcome.line
    assert not picture.exists()


def test_evaluate_refuses_one_file_for_two_pictures(run, trained, tmp_path):
    picture = tmp_path / "a.png"
    outcome = run("evaluate", trained, "mnist", "--confusion", picture, "--mistakes", picture)
    assert outcome.code == 1
    assert "must be two files" in outcome.line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--split", "val"), "no split 'val'; it has train, test"),
        (("--against", "absent.lamp"), "absent.lamp"),
        (("--mistakes", "absent/a.png"), "there is no folder"),
    ],
)
def test_evaluate_says_what_is_wrong(run, trained, arguments, expected):
    outcome = run("evaluate", trained, "mnist", *arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert expected in outcome.line


def test_evaluate_says_which_of_two_is_wrong(run, trained, tmp_path):
    from lamplighter.saving.bundle import load, save

    other = load(trained)
    other.class_names = tuple("abcdefghij")
    path = save(other, tmp_path / "letters.lamp")
    outcome = run("evaluate", trained, "mnist", "--against", path)
    assert (outcome.code, outcome.out) == (1, "")
    assert f"{path}: classes are matched by name and none is in common" in outcome.line


@pytest.mark.parametrize("data", ["emoji", "photos"])
def test_evaluate_on_other_classes_names_them(run, trained, photos, data):
    outcome = run("evaluate", trained, photos if data == "photos" else data)
    assert (outcome.code, outcome.out) == (1, "")
    assert "none is in common: the classifier knows 0, 1, 2," in outcome.line
    assert ("the split has blue, green, red" if data == "photos" else "instrument") in outcome.line


def test_evaluate_a_network_for_other_images_is_one_line(run, tmp_path):
    from lamplighter.images.preprocessing import Preprocessing
    from lamplighter.models.classifier import Classifier

    wide = Preprocessing(height=16, width=20, channels=1, mean=(0.5,), std=(0.5,))
    names = [str(digit) for digit in range(10)]
    classifier = Classifier.new("better-cnn", preprocessing=wide, class_names=names)
    outcome = run("evaluate", save(classifier, tmp_path / "wide.lamp"), "mnist")
    assert (outcome.code, outcome.out) == (1, "")
    assert "takes images of 16 x 20 pixels" in outcome.line


def test_info(run, trained, tiny_digits):
    outcome = run("info", trained)
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80
    text = " ".join(outcome.out.split())
    accuracy = evaluate(load(trained), tiny_digits).accuracy
    for part in (
        "network quick-cnn",
        "classes 10: 0, 1, 2",
        "28 x 28 grey",
        "recipe name quick, epochs 4, seed 7",
        f"test score accuracy {accuracy} on 256 images of tiny-digits",
        f"SHA-256 {tiny_digits.fingerprint('train')[:16]}",
    ):
        assert part in text
    assert json.loads(run("info", trained, "--json").out) == describe(trained)


def test_a_long_split_name_does_not_break_the_column(run, trained, tmp_path):
    classifier = load(trained)
    for name in ("test-2013-04", "test-of-another-photographer-in-winter"):
        classifier.record.data[name] = "0" * 64
    bundle = save(classifier, tmp_path / "long.lamp")
    lines = run("info", bundle).out.splitlines()
    (column,) = {line.index("SHA-256") for line in lines if "SHA-256" in line}
    assert column == next(line for line in lines if line.startswith("classes")).index("10: 0")
    assert "test-of-another-photographer-in-winter data" in lines


def test_evaluate_draws_how_reliable_the_probabilities_are(run, trained, tmp_path):
    out = tmp_path / "reliability.png"
    outcome = run("evaluate", trained, "mnist", "--reliability", out)
    assert outcome.out.endswith(f"wrote {out}\n")
    assert out.read_bytes().startswith(PNG)
    assert f"{out} already exists" in run("evaluate", trained, "mnist", "--reliability", out).line
    outcome = run("evaluate", trained, "mnist", "--confusion", out, "--reliability", out, "--force")
    assert "--confusion and --reliability must be two files" in outcome.line


def test_info_says_how_far_answers_can_be_trusted(run, trusted, trained):
    trust, measured = load(trusted).trust, describe(trusted)["trust"]["measured"]
    text = " ".join(run("info", trusted).out.split())
    before = measured["calibration"]["before"]["error"]["value"]
    assert f"calibration temperature {trust.temperature:.3g}; error {100 * before:.1f} %" in text
    assert f"unknown farther than {trust.threshold:.3g} from the training images; 90." in text
    assert "calibration" not in run("info", trained).out


def test_info_of_a_trust_with_its_owners_own_measurements():
    from lamplighter.cli.info import trust_lines

    values = {"temperature": 1.25, "threshold": 0.5, "measured": {"calibration": "by hand"}}
    assert list(trust_lines(values)) == [
        ("calibration", "temperature 1.25"),
        ("unknown", "farther than 0.5 from the training images"),
    ]


def test_info_draws(run, trusted, trained, tmp_path):
    reliability, coverage = tmp_path / "reliability.png", tmp_path / "coverage.png"
    arguments = ("--reliability", reliability, "--coverage", coverage, "--json")
    outcome = run("info", trusted, *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == describe(trusted)
    for path in (reliability, coverage):
        assert path.read_bytes().startswith(PNG)
    again = run("info", trusted, *arguments)
    assert (again.code, again.out) == (1, "")
    assert f"{reliability} already exists: choose another --reliability" in again.line
    assert run("info", trusted, *arguments, "--force").code == 0
    outcome = run("info", trained, "--coverage", tmp_path / "none.png")
    assert (outcome.code, outcome.out) == (1, "")
    assert "has no coverage measured" in outcome.line
    assert not (tmp_path / "none.png").exists()


def test_evaluate_says_how_much_is_answered(run, trusted, tiny_digits):
    outcome = run("evaluate", trusted, "mnist")
    report = evaluate(load(trusted), tiny_digits)
    assert f"known     {report.answered}" in outcome.out
    document = json.loads(run("evaluate", trusted, "mnist", "--json").out)
    assert document["answered"] == report.answered.to_dict()


def test_info_of_a_bundle_with_its_owners_own_scores(run, other):
    outcome = run("info", other)
    assert outcome.code == 0
    assert "dropout 0.25" in outcome.out
    assert "acc 0.5" in outcome.out


def test_info_of_a_score_beyond_all_floats(run, other, tmp_path):
    classifier, huge = load(other), {"value": 10**400, "low": 0.1, "high": 0.9, "confidence": 0.95}
    classifier.record.scores = {"test": {"accuracy": huge, "count": 5, "data": "mnist"}}
    outcome = run("info", save(classifier, tmp_path / "huge.lamp"))
    assert outcome.code == 0, outcome.err
    assert "0.95" in outcome.out


def test_info_of_a_newer_format_is_one_line(run, bundle, tmp_path):
    newer = tmp_path / "newer.lamp"
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(newer, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "description.json":
                content = json.dumps(json.loads(content) | {"format": 99}).encode()
            new.writestr(name, content)
    outcome = run("info", newer)
    assert (outcome.code, outcome.out) == (1, "")
    assert str(newer) in outcome.line
    assert "99" in outcome.line


@pytest.mark.parametrize(
    ("form", "suffix"), [("onnx", ".onnx"), ("state-dict", ".pt"), ("torch-export", ".pt2")]
)
def test_export_beside_the_bundle(run, bundle, form, suffix):
    outcome = run("export", bundle, "--format", form)
    written = bundle.with_suffix(suffix)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"wrote {written} (")
    assert written.stat().st_size > 10_000
    assert sorted(path.name for path in bundle.parent.iterdir()) == [bundle.name, written.name]


def test_exported_weights_are_those_of_the_bundle(run, bundle, tmp_path):
    out = tmp_path / "weights.bin"
    assert run("export", bundle, "--format", "state-dict", "--out", out).code == 0
    state = torch.load(out, weights_only=True)
    expected = load(bundle).to_torch().state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in state)


def test_export_replaces_nothing_unasked(run, bundle):
    mine = bundle.with_suffix(".pt")
    mine.write_text("mine")
    outcome = run("export", bundle, "--format", "state-dict")
    assert outcome.code == 1
    assert f"{mine} already exists: choose another --out" in outcome.line
    assert mine.read_text() == "mine"
    assert run("export", bundle, "--format", "state-dict", "--force").code == 0


def test_export_with_preprocessing_proves_itself(run, other, tmp_path):
    out = tmp_path / "digits.onnx"
    arguments = ("export", other, "--format", "onnx", "--with-preprocessing", "--out", out)
    refused = run(*arguments)
    assert (refused.code, refused.out) == (1, "")
    assert "finds a digit in the image first" in refused.line
    done = run(*arguments, "--as-is")
    assert done.code == 0
    said = " ".join(done.out.split())
    assert said.startswith(f"wrote {out} (")
    assert "proven on 24 pictures: the same answers as predict, probabilities within" in said


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("--format", "onnx", "--as-is"), 2, "--as-is goes with --with-preprocessing."),
        (("--format", "onnx", "--images", "mnist"), 2, "--images goes with --with-preprocessing,"),
        (("--format", "bundle", "--precision", "int8"), 1, "is for the format onnx alone"),
        (("--format", "onnx", "--precision", "int8"), 1, "more than 3 convolutions, received 2"),
        (("--format", "onnx", "--out", "a.tflite"), 1, "and its name says .tflite; name it a.onnx"),
        (
            ("--format", "onnx", "--with-preprocessing", "--as-is", "--images", "absent"),
            1,
            "there is no folder absent",
        ),
    ],
)
def test_export_refuses_what_does_not_go_together(
    run, other, tmp_path, monkeypatch, arguments, code, expected
):
    monkeypatch.chdir(tmp_path)
    where = (
        () if "--out" in arguments else ("--out", "a.lamp" if "bundle" in arguments else "a.onnx")
    )
    outcome = run("export", other, *arguments, *where)
    assert (outcome.code, outcome.out) == (code, "")
    assert expected in outcome.line
    assert not list(tmp_path.iterdir())


def test_export_never_replaces_the_bundle(run, bundle):
    before = bundle.read_bytes()
    outcome = run("export", bundle, "--format", "onnx", "--out", bundle, "--force")
    assert outcome.code == 1
    assert "must not be the bundle itself" in outcome.line
    assert bundle.read_bytes() == before


def small_files() -> None:
    """Let a process write files of at most 50 kB, as a full disk does; Python ignores SIGXFSZ."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def test_export_to_a_full_disk(process, bundle):
    old = bundle.with_suffix(".pt")
    old.write_text("mine")
    outcome = process("export", bundle, "--format", "state-dict", "--force", preexec_fn=small_files)
    assert outcome.code == 1
    assert f"{old} cannot be written: File too large" in outcome.line
    assert old.read_text() == "mine"
    assert sorted(path.name for path in bundle.parent.iterdir()) == [bundle.name, old.name]


@pytest.fixture
def own(tiny_digits, tmp_path):
    """A bundle of a network that is not in the registry."""
    from torch import nn

    from lamplighter.models.classifier import Classifier

    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    classifier = Classifier(network, tiny_digits.preprocessing, tiny_digits.class_names)
    return save(classifier, tmp_path / "own.lamp")


def test_info_and_onnx_of_a_network_of_ones_own(run, own):
    outcome = run("info", own)
    assert (outcome.code, outcome.err) == (0, "")
    assert "torch.nn.modules.container.Sequential (a class of its own)" in " ".join(
        outcome.out.split()
    )
    assert run("export", own, "--format", "onnx").code == 0
    with zipfile.ZipFile(own) as archive:
        assert own.with_suffix(".onnx").read_bytes() == archive.read("network.onnx")
    assert run("export", own, "--format", "state-dict").code == 0
    refused = run("export", own, "--format", "torch-export")
    assert refused.code == 1
    assert refused.err.count("\n") == 1
