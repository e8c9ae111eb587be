"""Labels set by a person: what holds, what is undone, what is refused."""

from __future__ import annotations

import itertools
import random
import re

import pytest

import lamplighter
from lamplighter.datasets.files import SetAside
from lamplighter.datasets.folders import find_files
from lamplighter.errors import ArgumentTypeError, DataError, DatasetError, WorkspaceError
from lamplighter.workspace.actions import AddClass, LabelFiles, MergeClasses, RenameClass
from lamplighter.workspace.location import NAME
from lamplighter.workspace.workspace import Workspace
from tests.workspace.conftest import PATHS, labels, write

FOLDERS = {path: path.rpartition("/")[0] for path in PATHS}


def test_a_folder_nobody_worked_on_is_read_as_it_is_and_nothing_is_written(workspace, photos):
    before, files = find_files(photos), workspace.files()

    assert labels(workspace) == FOLDERS
    assert files.class_names == before.class_names == ("cats", "dogs")
    assert files.notes == before.notes
    assert workspace.steps() == []
    assert workspace.changes_since(0) == []
    assert workspace.check().new == ()
    assert not workspace.journal.exists()


def test_labels_hold_and_the_folder_is_read_as_before(workspace, photos, opened):
    step = workspace.label(["cats/1.jpg", photos / "lost.jpg"], "dogs")

    assert step.action == LabelFiles(("cats/1.jpg", "lost.jpg"), "dogs")
    assert labels(workspace) == FOLDERS | {"cats/1.jpg": "dogs", "lost.jpg": "dogs"}
    assert labels(opened()) == labels(workspace)
    assert workspace.journal == photos / NAME
    plain = find_files(photos)
    assert list(plain.paths) == list(PATHS)
    assert plain.class_names == ("cats", "dogs")


def test_the_public_name_is_that_class(photos):
    with lamplighter.Workspace.open(str(photos)) as workspace:
        workspace.label("lost.jpg", "cats")  # one path, not its letters
        assert labels(workspace)["lost.jpg"] == "cats"


def test_a_label_taken_away_is_none_whatever_the_folder(workspace):
    workspace.label("cats/1.jpg", None)

    assert labels(workspace)["cats/1.jpg"] == ""
    assert workspace.label("cats/1.jpg", None) is None  # nothing changes
    assert len(workspace.steps()) == 1


def test_files_set_aside_are_left_out_with_the_reason_and_come_back(workspace):
    workspace.set_aside(["cats/1.jpg", "dogs/1.jpg"], "blurred,\n  or dark")

    assert workspace.files().set_aside[-2:] == (
        SetAside("cats/1.jpg", "blurred, or dark"),
        SetAside("dogs/1.jpg", "blurred, or dark"),
    )
    assert set(labels(workspace)) == set(PATHS) - {"cats/1.jpg", "dogs/1.jpg"}
    assert workspace.keep(["cats/1.jpg", "cats/2.jpg"]).action.paths == ("cats/1.jpg",)
    assert set(labels(workspace)) == set(PATHS) - {"dogs/1.jpg"}
    assert workspace.keep("cats/1.jpg") is None


def test_a_class_renamed_keeps_its_files_and_gets_those_that_come_later(workspace, photos):
    workspace.label("lost.jpg", "cats")
    workspace.rename_class("cats", "cat")
    write(photos, "cats/4.jpg")
    workspace.rescan()

    assert workspace.classes() == ["cat", "dogs"]
    renamed = {path for path, name in labels(workspace).items() if name == "cat"}
    assert renamed == {"cats/1.jpg", "cats/2.jpg", "cats/3.jpg", "cats/4.jpg", "lost.jpg"}
    workspace.add_class("cats")  # a new class of the old name takes nothing back
    workspace.label("dogs/1.jpg", "cats")
    assert labels(workspace)["cats/1.jpg"] == "cat"
    assert labels(workspace)["dogs/1.jpg"] == "cats"


def test_classes_merged_are_one(workspace):
    workspace.add_class("kitten")
    workspace.label(["cats/1.jpg", "lost.jpg"], "kitten")
    step = workspace.merge_classes(["kitten", "cats"], "dogs")

    assert step.action == MergeClasses(("kitten", "cats"), "dogs")
    assert set(labels(workspace).values()) == {"dogs"}
    assert workspace.classes() == ["dogs"]


def test_an_added_class_is_there_without_files(workspace, opened):
    assert workspace.add_class("  horse ").action == AddClass("horse")

    assert workspace.files().class_names == ("cats", "dogs", "horse")
    assert opened().classes() == ["cats", "dogs", "horse"]
    assert workspace.rename_class("horse", "pony").action == RenameClass("horse", "pony")
    workspace.undo(2)
    assert workspace.classes() == ["cats", "dogs"]


def test_the_notes_speak_of_the_labels_that_hold(opened, tmp_path):
    folder = write(tmp_path / "split", "train/cat/1.jpg", "train/2.jpg", "val/cat/3.jpg")
    workspace = opened(folder)
    assert any("train has 1 image without a label" in note for note in workspace.files().notes)

    workspace.label("train/2.jpg", "cat")

    assert not any("without a label" in note for note in workspace.files().notes)


def _at_random(workspace: Workspace, rng: random.Random) -> None:
    """Do something, whatever it is."""
    classes, paths = workspace.classes(), rng.sample(PATHS, rng.randint(1, 4))
    kind = rng.randrange(7)
    if kind <= 1:
        workspace.label(paths, rng.choice(classes))
    elif kind == 2:
        workspace.label(paths, None)
    elif kind == 3:
        workspace.set_aside(paths, rng.choice(["dark", "blurred"]))
    elif kind == 4:
        workspace.keep(paths)
    elif kind == 5 and len(classes) > 2:
        workspace.merge_classes(classes[:1], classes[1])
    else:
        name = f"class {rng.randrange(10**9)}"
        if rng.random() < 0.5:
            workspace.add_class(name)
        else:
            workspace.rename_class(rng.choice(classes), name)


def _state(workspace: Workspace) -> tuple[object, ...]:
    files = workspace.files()
    return labels(workspace), files.class_names, files.set_aside


@pytest.mark.parametrize("seed", range(2))
def test_undo_goes_back_through_each_state_and_redo_forward_again(opened, seed):
    workspace, rng = opened(), random.Random(seed)
    states = [_state(workspace)]
    while len(states) < 25:
        before = len(workspace.steps())
        _at_random(workspace, rng)
        if len(workspace.steps()) > before:
            states.append(_state(workspace))

    for state in states[-2::-1]:
        workspace.undo()
        assert _state(workspace) == state
    for state in states[1:]:
        workspace.redo()
        assert _state(workspace) == state
    workspace.undo(24)
    assert _state(workspace) == states[0]
    workspace.redo(24)
    assert _state(opened()) == states[-1]


def test_a_bulk_step_is_undone_as_one(workspace):
    workspace.label(PATHS, "dogs")
    (undone,) = workspace.undo()

    assert undone.action == LabelFiles(PATHS, "dogs")
    assert labels(workspace) == FOLDERS


def test_a_step_after_an_undo_ends_the_redo(workspace):
    workspace.label("lost.jpg", "cats")
    workspace.label("lost.jpg", "dogs")
    workspace.undo()
    workspace.label("cats/1.jpg", "dogs")

    with pytest.raises(WorkspaceError, match="there is no step to redo"):
        workspace.redo()
    assert labels(workspace)["lost.jpg"] == "cats"
    assert [step.id for step in workspace.steps()] == [1, 3]


def test_the_history_is_listed_in_order_with_what_can_be_redone(workspace):
    for name in ("a", "b", "c"):
        workspace.add_class(name)
    workspace.undo()

    told = [(step.action, step.done) for step in workspace.steps()]
    assert told == [(AddClass("a"), True), (AddClass("b"), True), (AddClass("c"), False)]
    assert workspace.steps(1) == workspace.steps()[-1:]


def test_another_window_sees_and_follows_each_change(opened):
    one, other = opened(), opened()
    assert other.last_change == 0
    one.label("lost.jpg", "cats")
    known = other.last_change
    one.undo()
    one.redo()

    assert labels(other)["lost.jpg"] == "cats"
    told = [(change.kind, change.step.action) for change in other.changes_since(known)]
    action = LabelFiles(("lost.jpg",), "cats")
    assert told == [("undone", action), ("redone", action)]
    numbers = [change.id for change in other.changes_since(0)]
    assert numbers == sorted(set(numbers))
    assert other.changes_since(other.last_change) == []
    assert other.undo()[0].action == action  # there is one history
    assert labels(one)["lost.jpg"] == ""


def test_an_undo_that_was_meant_for_another_step_does_nothing(opened):
    one, other = opened(), opened()
    mine = one.label("lost.jpg", "cats")
    other.label("lost.jpg", "dogs")

    with pytest.raises(WorkspaceError, match="step 1 is not the last one, which is 2: somebody"):
        one.undo(last=mine.id)
    assert labels(one)["lost.jpg"] == "dogs"
    assert one.undo(last=2)


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda w: w.label("cats/1.jpg", "cat"), "no class 'cat'; did you mean 'cats'"),
        (lambda w: w.label("cats/9.jpg", "cats"), "no image cats/9.jpg in .*did you mean 'cats/"),
        (lambda w: w.label([], "cats"), "there must be a file to change, received none"),
        (lambda w: w.set_aside("cats/1.jpg", " \n"), "for a reason, .*received none"),
        (lambda w: w.set_aside("cats/1.jpg", "x" * 1001), "received 1,001; shorten it"),
        (lambda w: w.rename_class("cat", "x"), "no class 'cat'"),
        (lambda w: w.rename_class("cats", "dogs"), "a class 'dogs' already; the two can be merged"),
        (lambda w: w.rename_class("cats", "DOGS"), "'DOGS' would differ from 'dogs' by case alone"),
        (lambda w: w.add_class("cats"), "a class 'cats' already; choose another name"),
        (lambda w: w.add_class(""), "received an empty one"),
        (lambda w: w.add_class("a\nb"), "characters that do not print"),
        (lambda w: w.add_class("a/b"), "with a slash"),
        (lambda w: w.add_class(".."), "no name of a class folder"),
        (lambda w: w.add_class("caf\udce9"), "with a slash"),  # shown as caf\xe9
        (lambda w: w.add_class("ä" * 101), "received one of 202 bytes"),
        (lambda w: w.merge_classes(["cats"], "cats"), "merged into 'cats', received 'cats'"),
        (lambda w: w.merge_classes([], "cats"), "merged into 'cats', received none"),
        (lambda w: w.undo(), "no step to undo"),
        (lambda w: w.redo(), "no step to redo"),
        (lambda w: w.undo(0), "at least 1, received 0"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(workspace, call, fault):
    with pytest.raises(WorkspaceError, match=fault) as raised:
        call(workspace)

    assert isinstance(raised.value, DataError)
    assert "\n" not in str(raised.value)
    assert not workspace.journal.exists()
    assert labels(workspace) == FOLDERS


def test_only_the_case_of_a_class_can_be_changed(workspace):
    workspace.rename_class("cats", "Cats")

    assert workspace.classes() == ["Cats", "dogs"]


def test_wrong_arguments_are_told(workspace):
    with pytest.raises(ArgumentTypeError, match="has no argument 'clas_name'; did you mean"):
        workspace.label("lost.jpg", clas_name="cats")


def test_a_class_renamed_by_another_window_is_named(opened):
    one, other = opened(), opened()
    other.rename_class("cats", "felines")

    with pytest.raises(WorkspaceError, match="the class 'cats' is called 'felines' now"):
        one.label("lost.jpg", "cats")


# Names as systems have them: composed and not, over lines, with bytes that are no UTF-8.
ODD = (
    "naïve café.jpg",
    "nai\u0308ve.jpg",
    "line\nend\r.jpg",
    " space .jpg",
    "日本語.jpg",
    '"q",.jpg',
)
ODDEST = "caf\udce9.jpg"


def test_any_name_of_a_file_comes_back_as_it_was(opened, tmp_path):
    paths = [f"a/{name}" for name in (*ODD, ODDEST)]
    folder = write(tmp_path / "odd", *paths, "b/1.jpg")
    opened(folder).label(paths, "b")

    again = opened(folder)
    assert {path for path, name in labels(again).items() if name == "b"} == {*paths, "b/1.jpg"}
    assert again.steps()[0].action.paths == tuple(
        sorted(paths, key=lambda p: p.encode("utf-8", "surrogateescape"))
    )
    again.undo()
    assert labels(again)["b/1.jpg"] == "b"
    assert labels(again)[f"a/{ODDEST}"] == "a"


def test_names_that_mean_files(workspace, photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    for name, meant in {
        "cats/1.jpg": ["cats/1.jpg"],
        "photos/cats/1.jpg": ["cats/1.jpg"],
        str(photos / "cats/1.jpg"): ["cats/1.jpg"],
        "./photos/dogs/../cats/1.jpg": ["cats/1.jpg"],
        "cats": ["cats/1.jpg", "cats/2.jpg", "cats/3.jpg"],
        "photos/dogs/": ["dogs/1.jpg", "dogs/2.jpg"],
        "photos": list(PATHS),
        "*2.jpg": ["cats/2.jpg", "dogs/2.jpg"],
        "cats/[12].jpg": ["cats/1.jpg", "cats/2.jpg"],
        "3.jpg": ["cats/3.jpg"],
    }.items():
        assert workspace.select([name]) == meant, name
    assert workspace.select(["cats", "1.jp*"]) == [*PATHS[:3], "dogs/1.jpg"]
    for name, fault in {
        "1.jpg": r"1\.jpg may be any of cats/1\.jpg, dogs/1\.jpg in .*name its folder as well",
        "cats/*.png": r"there is no image cats/\*\.png",
        "birds": "there is no image birds",
    }.items():
        with pytest.raises(WorkspaceError, match=fault):
            workspace.select([name])


def test_a_file_with_the_letters_of_a_pattern_is_that_file(opened, tmp_path):
    workspace = opened(write(tmp_path / "odd", "a/[1].jpg", "b/1.jpg"))

    assert workspace.select(["a/[1].jpg"]) == ["a/[1].jpg"]


def test_what_is_no_image_says_why(opened, photos):
    (photos / "cats" / "notes.txt").touch()

    with pytest.raises(WorkspaceError, match=r"cats/notes\.txt is no image that can be labelled"):
        opened().select(["cats/notes.txt"])


# What people report of tools that do the same, rebuilt in small.


def test_a_window_left_open_does_not_put_its_old_state_over_the_new_one(opened):
    # cloud-annotations: one annotator comes back, and the other's work is gone.
    first, second = opened(), opened()
    first.label("cats/1.jpg", "dogs")
    second.label("cats/2.jpg", "dogs")
    first.label("cats/3.jpg", "dogs")

    assert set(labels(opened()).values()) == {"dogs", ""}


def test_opening_again_neither_forgets_nor_reorders_classes(opened):
    # labelImg: classes.txt holds only the classes used since, and every label shifts.
    first = opened()
    for name in ("zebra", "ant"):
        first.add_class(name)
    first.label("lost.jpg", "zebra")
    first.close()
    second = opened()
    second.label("cats/1.jpg", "ant")

    assert second.classes() == ["ant", "cats", "dogs", "zebra"]
    assert labels(second)["lost.jpg"] == "zebra"


def test_a_class_renamed_and_made_again_loses_no_label(workspace):
    # Labelbox and doccano: to rename a class, or to delete it and add it anew, empties it.
    workspace.rename_class("cats", "felines")
    workspace.rename_class("felines", "cats")
    assert labels(workspace) == FOLDERS
    workspace.merge_classes(["cats"], "dogs")
    workspace.add_class("cats")
    workspace.undo(2)
    assert labels(workspace) == FOLDERS


def test_undo_is_kept_and_work_goes_on_after_it(opened):
    # CVAT: what was saved, undone and saved again cannot be saved; X-AnyLabeling: an undo is lost.
    first = opened()
    first.label("lost.jpg", "cats")
    first.set_aside("lost.jpg", "dark")
    first.undo()
    first.close()
    second = opened()
    assert labels(second)["lost.jpg"] == "cats"
    second.redo()
    second.keep("lost.jpg")
    assert labels(opened())["lost.jpg"] == "cats"


def test_files_of_one_name_in_two_folders_are_two(workspace):
    # FiftyOne: labels joined by the name of the file alone.
    workspace.label("cats/1.jpg", "dogs")
    workspace.label("dogs/1.jpg", "cats")

    assert labels(workspace)["cats/1.jpg"] == "dogs"
    assert labels(workspace)["dogs/1.jpg"] == "cats"


def test_each_message_is_one_line_of_printable_text(opened, tmp_path):
    folder = write(tmp_path / "line\nend", "a/1.jpg", "b/1.jpg")
    workspace = opened(folder)
    for call in (
        lambda: workspace.label("x\ny.jpg", "a"),
        lambda: workspace.select(["1.jpg"]),
        lambda: workspace.label("a/1.jpg", "x\ny"),
    ):
        with pytest.raises(WorkspaceError) as raised:
            call()
        assert str(raised.value).isprintable()
    assert re.fullmatch(r"[ -~]+", str(raised.value))


def test_orders_of_two_windows_are_one_order(opened):
    windows = itertools.cycle([opened(), opened(), opened()])
    for number, window in zip(range(30), windows, strict=False):
        window.add_class(f"class {number}")

    steps = next(windows).steps()
    assert [step.action.name for step in steps] == [f"class {number}" for number in range(30)]
    assert [step.id for step in steps] == list(range(1, 31))


def test_a_folder_without_images_can_be_begun_with(tmp_path):
    with Workspace.open(tmp_path, empty=True) as workspace:
        workspace.add_class("cup")
        assert len(workspace.files()) == 0
        write(tmp_path, "cup/1.jpg", "pen/1.jpg")
        workspace.rescan()
        assert labels(workspace) == {"cup/1.jpg": "cup", "pen/1.jpg": "pen"}
        assert workspace.classes() == ["cup", "pen"]
        for path in ("cup/1.jpg", "pen/1.jpg"):
            (tmp_path / path).unlink()
        workspace.rescan()
        assert workspace.files().class_names == ("cup",)
        workspace.undo()
        assert workspace.classes() == []
    with pytest.raises(DatasetError, match="must hold images"):
        Workspace.open(tmp_path)
