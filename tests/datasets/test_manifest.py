from __future__ import annotations

import csv
import io
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamplighter.datasets.manifest import read_manifest
from lamplighter.errors import DatasetError
from tests.datasets.planted import put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "a.png", "b.png", "sub/c 1.png", "d,e.png")
    return tmp_path


def manifest(folder: Path, text: str | bytes) -> Path:
    path = folder / "photos.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


FULL = """Path,note,LABEL,split,group
a.png,first,cat,train,g1
"d,e.png",,dog,Valid,
sub/c 1.png,"two
lines",cat,test_rain,g1

b.png,,,,
"""


def test_reads_every_column(folder: Path) -> None:
    files = read_manifest(manifest(folder, FULL))
    assert files.paths == ("a.png", "d,e.png", "sub/c 1.png", "b.png")
    assert files.labels.tolist() == [0, 1, 0, -1]
    assert files.class_names == ("cat", "dog")
    assert files.splits == ("train", "val", "test-rain", "")
    assert files.groups == ("g1", "", "g1", "")
    assert (files.name, files.root, files.set_aside, files.notes) == ("photos", folder, (), ())
    assert all(path.is_file() for path in files.files)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_reads_what_programs_write(
    folder: Path, delimiter: str, newline: str, encoding: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline)
    writer.writerows([["label", "path"], ["Café", "a.png"], ["dog, small; brown", "b.png"]])
    files = read_manifest(manifest(folder, text.getvalue().encode(encoding)))
    assert files.class_names == ("Café", "dog, small; brown")
    assert files.paths == ("a.png", "b.png")


def test_paths_may_be_absolute_or_of_windows(folder: Path, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("other")
    put(other, "x.png")
    lines = ["path, label", f"{folder}/a.png, cat", f"{other}/x.png, dog", r"sub\c 1.png, dog"]
    files = read_manifest(manifest(folder, "\n".join(lines)))
    assert files.paths == ("a.png", f"{other.as_posix()}/x.png", "sub/c 1.png")
    assert all(path.is_file() for path in files.files)


def test_the_group_of_a_line_comes_before_that_of_the_name(folder: Path) -> None:
    path = manifest(folder, "path,label,group\na.png,cat,g\nsub/c 1.png,cat,\nb.png,dog,\n")
    files = read_manifest(path, group=r"\d")
    assert files.groups == ("g", "1", "")
    assert files.notes == (
        "groups by \\d: 2, with 2 files in them; files in no group, each on its own: 1.",
    )


def test_files_that_are_not_there_are_set_aside(folder: Path) -> None:
    (folder / "folder.png").mkdir()
    rows = ["none.png,cat", "a.png/x.png,cat", "folder.png,cat", f"{'x' * 5000}.png,cat", "a.png,b"]
    files = read_manifest(manifest(folder, "\n".join(["path,label", *rows])))
    assert files.paths == ("a.png",)
    assert [left_out.reason.split(";")[0][:20] for left_out in files.set_aside] == [
        "there is no such fil",
        "there is no such fil",
        "not a regular file",
        "cannot be found (Fil",
    ]


def test_a_line_that_repeats_a_file_is_noted(folder: Path) -> None:
    files = read_manifest(manifest(folder, "path,label\na.png,cat\nsub/../a.png,cat\nb.png,d\n"))
    assert files.paths == ("a.png", "b.png")
    assert files.notes == ("lines that repeat a file, which is read once: 1.",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: the first line must name the columns path and label.*received \."),
        ("where,label\na.png,cat", "line 1: .* received where, label"),
        ("path,what\na.png,cat", "line 1: .* received path, what"),
        ("image,file,label\na.png,a.png,cat", "may be .image, file.; call the right one path"),
        ("path,breed,species\na.png,pug,dog\nb.png,pug,cat", "one column must be the label"),
        ("path,label,Label\na.png,cat,dog", "line 1: .* each once"),
        ("path,label\na.png,cat\nb.png", "line 3: a line must have as many cells .* received 1"),
        ("path,label\nd,e.png,cat", "line 2: .* received 3; put a name .* quotation marks"),
        ("path,label\n ,cat", "line 2: the path is empty"),
        ("path,label,split\na.png,cat,sun", "line 2: a split must be train, val.*'sun'"),
        ("path,label,split\na.png,cat,train\nb.png,x,2", "line 3: a split must be .*'2'"),
        ('path,label\na.png,"ca"t', "line 2: the line must be CSV"),
        ('path,label\na.png,"cat', "line 2: the line must be CSV"),
        ("path,label\na.png," + "x" * 200_000, "line 2: the line must be CSV"),
        ("path,label\na.png,cat\nb.png,x\na.png,dog", "line 4: .* line 2 .*remove one"),
        ("path,label,split\na.png,cat,train\na.png,cat,test", r"line 3: .*a\.png again"),
        ("path,label\nnone.png,cat", r"received 1 paths and no file .* such as none\.png"),
        ("path,label\n", "received 0 paths"),
        (b"path,label\na.png,caf\xe9", "line 2: a CSV file must be UTF-8"),
        ("path,label\na.png,cat".encode("utf-16"), "line 1: a CSV file must be UTF-8"),
    ],
)
def test_a_line_that_is_wrong_is_named(folder: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read_manifest(manifest(folder, text))
    assert "photos.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_manifest_that_is_a_folder_or_missing(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"no file .*none\.csv"):
        read_manifest(folder / "none.csv")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_manifest(folder / "sub")


@pytest.mark.parametrize(
    ("header", "values", "splits", "notes"),
    [
        ("split", ("Training", "valid"), ("train", "val"), ["in split, Training is train"]),
        ("split", ("TRAIN", "TEST_snow"), ("train", "test-snow"), []),
        ("Split", ("dev", "holdout"), ("val", "test"), ["in Split, dev is val, holdout is test"]),
        (
            "is_valid",
            ("False", "True"),
            ("train", "val"),
            ["split is the column is_valid", "in is_"],
        ),
        ("is_valid", ("0", "1"), ("train", "val"), ["split is", "0 is train, 1 is val"]),
        ("is_test", ("no", "YES"), ("train", "test"), ["split is", "YES is test, no is train"]),
        ("is_training_image", ("1", "0"), ("train", "test"), ["split is", "0 is test, 1 is train"]),
        ("set", ("train", "test"), ("train", "test"), ["split is the column set"]),
        (
            "Usage",
            ("Training", "PublicTest"),
            ("train", "test"),
            ["split is", "PublicTest is test"],
        ),
        ("partition", ("train", ""), ("train", ""), ["split is the column partition"]),
        ("fold", ("train", "val"), ("train", "val"), ["split is the column fold"]),
        ("fold", ("0", "1"), ("", ""), ["looks like splits but holds numbers (0, 1)"]),
        ("kfold", ("1", "2"), ("", ""), ["the column kfold looks like splits"]),
        ("subset", ("red", "blue"), ("", ""), ["subset is not used: blue, red are not all names"]),
        ("is_valid", ("maybe", "1"), ("", ""), ["is_valid is not used: 1, maybe are not all"]),
        ("weather", ("sun", "rain"), ("", ""), []),
        ("weather", ("train", "test"), ("", ""), ["weather looks like splits (test, train) and"]),
        (
            "valid",
            ("True", "False"),
            ("", ""),
            ["the column valid looks like splits (False, True)"],
        ),
    ],
)
def test_columns_that_name_splits(
    folder: Path, header: str, values: tuple[str, str], splits: tuple[str, str], notes: list[str]
) -> None:
    text = f"path,label,{header}\na.png,cat,{values[0]}\nb.png,dog,{values[1]}\n"
    files = read_manifest(manifest(folder, text))
    assert files.splits == splits
    assert len(files.notes) == len(notes)
    assert all(said in note for said, note in zip(notes, files.notes, strict=True))


def test_the_column_split_comes_first(folder: Path) -> None:
    text = "path,label,is_valid,split\na.png,cat,1,train\nb.png,dog,0,test\n"
    files = read_manifest(manifest(folder, text))
    assert files.splits == ("train", "test")
    assert files.notes == ("the column is_valid is not used, since another one names the splits.",)


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("filename,class", "a.png,cat\nb.png,dog", "path is the column filename; label is the col"),
        ("Image ID,Target", "a,cat\nb,dog", "path is the column Image ID; label is the column Ta"),
        ("id,file_name,label", "7,a.png,cat\n8,b.png,dog", "path is the column file_name."),
        ("id,file_name,label", "a,a.png,cat\nb,b.png,dog", "path is the column file_name."),
        ("img,category_id,category", "a.png,1,cat\nb.png,2,dog", "label is the column category."),
        ("photo,has_tail", "a.png,cat\nb.png,dog", "label is the column has_tail."),
    ],
)
def test_columns_by_other_names(folder: Path, header: str, rows: str, said: str) -> None:
    text = f"{header}\n{rows}\n"
    if header == "photo,has_tail":
        text += "sub/c 1.png,cat\nd e.png,dog\n"
        put(folder, "d e.png")
    files = read_manifest(manifest(folder, text))
    assert files.class_names == ("cat", "dog")
    assert files.paths[:2] == ("a.png", "b.png")
    assert said in files.notes[0]


def test_names_without_their_ending_or_folder(folder: Path) -> None:
    put(folder, "sub/7.v2.JPG", "1/2/3/y.png", "1/2/3/4/z.png")
    files = read_manifest(manifest(folder, "id,label\na,x\nc 1,x\n7.v2,y\nb,y\ny,y\nz,y\n"))
    assert files.paths == ("a.png", "sub/c 1.png", "sub/7.v2.JPG", "b.png", "1/2/3/y.png")
    assert [left_out.path for left_out in files.set_aside] == ["z"]
    assert "5 names stand for the file of that name, such as a for a.png" in files.notes[1]


def test_of_files_of_one_name_those_of_the_folder_that_has_all(folder: Path) -> None:
    put(folder, "photos/1.png", "photos/2.png", "old/2.png")
    path = manifest(folder, "id,label\n1,cat\n2,cat\n")
    assert read_manifest(path).paths == ("photos/1.png", "photos/2.png")
    put(folder, "old/1.png")
    with pytest.raises(DatasetError, match=r"1 must be one file, received old/1\.png and photos"):
        read_manifest(path)


def test_the_name_of_the_table_tells_files_of_one_name_apart(folder: Path) -> None:
    put(folder, "train/1.png", "test/1.png")
    path = folder / "train_labels.csv"
    path.write_text("id,label\n1,cat\n")
    assert read_manifest(path).paths == ("train/1.png",)


def test_a_column_that_names_patients_is_offered(folder: Path) -> None:
    files = read_manifest(manifest(folder, "path,label,Patient ID\na.png,cat,7\nb.png,dog,7\n"))
    assert files.groups == ("", "")
    assert files.notes == (
        "the column Patient ID is not used; call it group, and what it names stays in one split.",
    )


# Labels as people write them; what is around them is taken off.
labels = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).map(str.strip)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(labels, st.sampled_from(["", "train", "val", "test"]), labels),
        min_size=1,
        max_size=4,
    ),
    delimiter=st.sampled_from([",", ";", "\t"]),
)
def test_what_the_csv_module_writes_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    names = [f"{number}.png" for number in range(len(rows))]
    put(folder, *names)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["path", "label", "split", "group"])
    writer.writerows([name, *row] for name, row in zip(names, rows, strict=True))
    files = read_manifest(manifest(folder, text.getvalue()))
    assert files.paths == tuple(names)
    read = [files.class_names[label] if label >= 0 else "" for label in files.labels]
    assert read == [unicodedata.normalize("NFC", label).strip() for label, _, _ in rows]
    assert list(files.splits) == [split for _, split, _ in rows]
    assert list(files.groups) == [group for _, _, group in rows]


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60) | st.text("pathlabel,;\t\"\n' a.png", max_size=60).map(str.encode))
def test_any_bytes_give_files_or_a_dataset_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    put(folder, "a.png")
    try:
        outcome = f"{len(read_manifest(manifest(folder, content)))} files"
    except DatasetError as error:
        outcome = str(error)
    assert outcome == "1 files" or ("photos.csv" in outcome and "\n" not in outcome)


def test_paths_that_lead_through_a_zip_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("cats/1.png", "dogs/2.png"):
            archive.writestr(name, b"pixels of " + name.encode())
    (tmp_path / "3.png").write_bytes(b"pixels of 3.png")
    inside = ["set.zip/cats/1.png,cat", f"{tmp_path}/set.zip/dogs/2.png,dog"]
    files = read_manifest(manifest(tmp_path, "\n".join(["path,label", *inside])))
    assert files.paths == ("cats/1.png", "dogs/2.png")
    assert [file.read_bytes()[10:] for file in files.files] == [b"cats/1.png", b"dogs/2.png"]
    mixed = ["path,label", *inside, "3.png,dog", "set.zip/no.png,cat"]
    files = read_manifest(manifest(tmp_path, "\n".join(mixed)))
    assert [file.read_bytes()[10:] for file in files.files] == [
        b"cats/1.png",
        b"dogs/2.png",
        b"3.png",
    ]
    (missing,) = files.set_aside
    assert missing.path == str(tmp_path / "set.zip" / "no.png")
