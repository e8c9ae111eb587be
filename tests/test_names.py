"""Names that are not in a list, and those that were meant."""

from __future__ import annotations

import doctest

import pytest

from lamplighter import names
from lamplighter.names import (
    near_names,
    near_paths,
    no_such_path,
    same_name,
    suggestion,
    unknown_name,
    wrong_choice,
)

METHODS = ("saliency", "smoothgrad", "integrated-gradients", "guided-backprop", "grad-cam")
RUNGS = ("knn", "svm", "linear", "head", "blocks", "full")


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("mnst", ("mnist", "emoji", "digits", "boats"), "mnist"),
        ("emojis", ("mnist", "emoji", "digits", "boats"), "emoji"),
        ("labb", ("lab", "quick", "best", "photos"), "lab"),
        ("knm", RUNGS, "knn"),
        ("block", RUNGS, "blocks"),
        ("gradcam", METHODS, "grad-cam"),
        ("Grad_CAM", METHODS, "grad-cam"),
        ("grad cam++", METHODS, "grad-cam"),
        ("integrated gradient", METHODS, "integrated-gradients"),
        ("tset", ("train", "val", "test"), "test"),
        ("simplecnn", ("better-cnn", "simple-cnn"), "simple-cnn"),
        ("conv_stem", ("backbone.conv_stem", "backbone.bn1"), "backbone.conv_stem"),
        ("Retriever", ("cat", "golden retriever"), "golden retriever"),
        ("ÉTÉ", ("hiver", "été"), "été"),
    ],
)
def test_the_name_that_was_meant_comes_first(name, known, meant):
    assert near_names(name, known)[0] == meant


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("xylophone", METHODS),
        ("", METHODS),
        ("--", METHODS),
        ("10", tuple("0123456789")),  # no digit is nearer to ten than the others
        ("cat", ("a", "c", "t")),
        ("knn", ()),
    ],
)
def test_nothing_near_is_made_up(name, known):
    assert near_names(name, known) == []


def test_no_more_than_are_wanted():
    known = [f"resnet{number}" for number in range(30)]
    assert len(near_names("resnet", known)) == 3
    assert len(near_names("resnet", known, most=5)) == 5
    assert near_names("RESNET7", known)[0] == "resnet7"


def test_one_spelling_is_one_name():
    assert same_name("GRAD_CAM", METHODS) == "grad-cam"
    assert same_name("grad-cam", [*METHODS, "grad_cam"]) == "grad-cam"  # as it stands
    assert same_name("gradcam", [*METHODS, "grad_cam"]) is None  # which of the two?
    assert same_name("Cat", ("Cat", "cat")) == "Cat"
    assert same_name("dog", ("Cat", "cat")) is None


def test_an_error_ends_with_what_there_is():
    assert suggestion("x", ()) == "there are none."
    assert suggestion("x", (), opening="it has") == "it has none."
    assert suggestion("catt", ("cat",)) == "did you mean 'cat'?"
    assert suggestion("zzz", ("a cat", "dog")) == "there are 'a cat', 'dog'."
    long = [f"layer{number}" for number in range(1_234)]
    assert suggestion("zzz", long).endswith("layer3, layer4 and 1,229 more.")
    assert suggestion("layr77", long).startswith("did you mean 'layer77' or ")
    assert "There are" not in suggestion("layr77", long)


def test_what_is_no_text_is_shown_as_it_is():
    assert unknown_name("recipe", 3, ("lab", "quick")) == (
        "there is no recipe 3; there are lab, quick."
    )


def test_a_wrong_choice_is_told_in_the_argument_s_name():
    assert wrong_choice("fit", "Letter-Box", ("crop", "letterbox")) == (
        "fit must be one of crop, letterbox, received 'Letter-Box'; did you mean 'letterbox'?"
    )
    assert wrong_choice("fit", None, ("crop",)) == "fit must be one of crop, received None."


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of files and folders, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos/cats", "photos/dogs", ".phots", "labs"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("digits.lamp", "digits.csv", "photos/cats/tom.jpg"):
        (tmp_path / file).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("photo", ["photos"]),
        ("Photos/cats", ["photos/cats"]),
        ("phtos/dogs", ["photos/dogs"]),
        ("phtos/birds", ["photos"]),  # as far as it goes
        ("photos/cat", ["photos/cats"]),
        ("photos/cats/tom.jpeg", ["photos/cats/tom.jpg"]),
        ("digts.lamp", ["digits.lamp"]),
        ("digits", ["digits.csv", "digits.lamp"]),
        (".phot", [".phots", "photos"]),
        ("nothing/like/it", []),
        ("digits.lamp/inside", []),
        ("x" * 300, []),
        ("null\0character", []),
        ("", []),
        ("/", []),
    ],
)
def test_neighbours_of_a_path_that_is_not_there(here, path, meant):
    assert near_paths(path) == meant


def test_a_full_path_leads_to_full_paths(here):
    assert near_paths(here / "photo") == [str(here / "photos")]


def test_what_is_said_of_a_path_that_is_not_there(here):
    assert no_such_path("folder", "lab") == "there is no folder lab; did you mean 'labs'?"
    assert no_such_path("file", "zzz\n") == r"there is no file 'zzz\n'; check the name."


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(names).failed == 0
    assert doctest.testmod(names).attempted == 7


def test_how_a_sentence_ends() -> None:
    assert names.meant("Epochs", ["epochs"]) == "; did you mean 'epochs'?"
    assert names.meant("train", ["val_generator", "train_generator"]).endswith("_generator'?")
    assert names.meant("xyz", ["epochs"]) == names.meant("e", ["epochs"]) == ""
    assert names.meant(3, ["epochs"]) == ""


def test_a_slip_comes_before_a_part_and_short_names_are_words() -> None:
    assert near_names("accurcy", ["acc", "accuracy"])[0] == "accuracy"
    assert near_names("f1", ["acc", "macro_f1", "f1_by_label"]) == ["macro_f1", "f1_by_label"]
    assert near_names("lo", ["low", "high", "slow"]) == ["low"]
    assert near_names("e", ["epochs"]) == near_names("", ["a"]) == []
