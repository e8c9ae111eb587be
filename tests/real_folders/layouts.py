"""Data sets as people have them, in small: which files there are, and what must be understood.

Each is named after a set, a program or a device that writes such folders. `make` writes it, with
emoji as its images, each another one.
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from PIL import Image

from lamplighter.datasets.emoji import load_emoji

if TYPE_CHECKING:
    from pathlib import Path

# By split and class, how many images; "" is a file without a class, or without a split.
Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class RealFolder:
    """A data set as somebody has it.

    Attributes:
        name: what it resembles.
        images: their paths; {a,b} stands for a and b, {1..3} for 1, 2 and 3.
        others: other files by path, and what is in them.
        at: what is given to Lamplighter: a path in it, or a zip file of all, `NAME.zip`.
        understood: images by split and class.
        notes: what must be said, in these words.
        refused: a regular expression for the message, where it must be refused.
        set_aside: what must be set aside.
    """

    name: str
    images: list[str]
    others: dict[str, str | bytes] = field(default_factory=dict)
    at: str = ""
    understood: Counts = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    refused: str = ""
    set_aside: tuple[str, ...] = ()

    def paths(self) -> list[str]:
        return [path for pattern in self.images for path in expanded(pattern)]

    def make(self, folder: Path) -> Path:
        """Write it into `folder` and return what is given to Lamplighter."""
        root = folder / self.name
        contents = {path: picture(number) for number, path in enumerate(self.paths())}
        for path, content in self.others.items():
            contents[path] = content.encode() if isinstance(content, str) else content
        if self.at.endswith(".zip"):
            return _zipped(folder / self.at, contents)
        for path, content in contents.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        return root / self.at


def _zipped(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def expanded(pattern: str) -> list[str]:
    """Return the paths that a pattern with {a,b} and {1..3} stands for."""
    parts = re.split(r"\{([^}]*)\}", pattern)
    choices = [[part] if place % 2 == 0 else _choice(part) for place, part in enumerate(parts)]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _choice(text: str) -> list[str]:
    if match := re.fullmatch(r"(\d+)\.\.(\d+)", text):
        width = len(match[1])
        return [f"{number:0{width}}" for number in range(int(match[1]), int(match[2]) + 1)]
    return text.split(",")


@cache
def picture(number: int) -> bytes:
    """An emoji, as PNG; its suffix may say something else, which nobody looks at here."""
    content = io.BytesIO()
    Image.fromarray(_drawings()[number]).resize((16, 16)).save(content, "png")
    return content.getvalue()


@cache
def _drawings():
    return load_emoji()


def table(*rows: str) -> str:
    return "\n".join(rows) + "\n"


TWO = {"cats": 2, "dogs": 2}
THREE = {"cats": 3, "dogs": 3}

SPLITS = [
    RealFolder(
        "intel-image-classification",
        [
            "seg_train/seg_train/{buildings,forest}/{1..3}.jpg",
            "seg_test/seg_test/{buildings,forest}/{1..2}.jpg",
            "seg_pred/seg_pred/{1..4}.jpg",
        ],
        understood={
            "train": {"buildings": 3, "forest": 3},
            "test": {"buildings": 2, "forest": 2},
            "test-pred": {"": 4},
        },
        notes=(
            "understood: train is seg_train/seg_train; test is seg_test/seg_test; test-pred is "
            "seg_pred/seg_pred.",
            "test-pred has 4 images without a label: nothing is measured on it, `lamplighter "
            "predict` answers it.",
        ),
    ),
    RealFolder(
        "plots-beside-doubled-splits",
        [
            "seg_{train,test}/sample.png",
            "seg_train/seg_train/{cats,dogs}/{1..3}.jpg",
            "seg_test/seg_test/{cats,dogs}/{1..2}.jpg",
        ],
        understood={"train": {"": 1, **THREE}, "test": {"": 1, **TWO}},
        notes=(
            "understood: train is seg_train/seg_train; test is seg_test/seg_test.",
            "test has 1 image without a label, left out of training and measuring.",
            "train has 1 image without a label, left out of training and measuring.",
        ),
    ),
    RealFolder(
        "brain-tumor-mri",
        ["Training/{glioma,notumor}/Tr_{1..3}.jpg", "Testing/{glioma,notumor}/Te_{1..2}.jpg"],
        understood={"train": {"glioma": 3, "notumor": 3}, "test": {"glioma": 2, "notumor": 2}},
        notes=("understood: train is Training; test is Testing.",),
    ),
    RealFolder(
        "10-monkey-species",
        ["training/training/n{0,1}/n{0..2}.jpg", "validation/validation/n{0,1}/n{1..2}.jpg"],
        {"monkey_labels.txt": "Label, Latin Name\n"},
        understood={"train": {"n0": 3, "n1": 3}, "val": {"n0": 2, "n1": 2}},
        notes=("understood: train is training/training; val is validation/validation.",),
        set_aside=("monkey_labels.txt",),
    ),
    RealFolder(
        "cats-and-dogs-training-set",
        [
            "training_set/training_set/{cats,dogs}/x.{1..3}.jpg",
            "test_set/test_set/{cats,dogs}/x.{1..2}.jpg",
        ],
        {"training_set/training_set/cats/_DS_Store": b"x"},
        understood={"train": THREE, "test": TWO},
        notes=("understood: train is training_set/training_set; test is test_set/test_set.",),
        set_aside=("training_set/training_set/cats/_DS_Store",),
    ),
    RealFolder(
        "keras-train-eval",
        ["train/{cats,dogs}/{1..3}.png", "eval/{cats,dogs}/{1..2}.png"],
        understood={"train": THREE, "test": TWO},
        notes=("understood: train is train; test is eval.",),
    ),
    RealFolder(
        "dev-and-holdout",
        [
            "TRAIN/{cats,dogs}/{1..3}.png",
            "Dev/{cats,dogs}/{1..2}.png",
            "hold-out/{cats,dogs}/{1..2}.png",
        ],
        understood={"train": THREE, "val": TWO, "test": TWO},
        notes=("understood: train is TRAIN; val is Dev; test is hold-out.",),
    ),
    RealFolder(
        "chest-xray-pneumonia",
        [
            "chest_xray/{train,test}/{NORMAL,PNEUMONIA}/p{1..2}.jpeg",
            "chest_xray/val/{NORMAL,PNEUMONIA}/p1.jpeg",
            "__MACOSX/chest_xray/train/NORMAL/._p1.jpeg",
        ],
        {"chest_xray/.DS_Store": b"x"},
        understood={
            "train": {"NORMAL": 2, "PNEUMONIA": 2},
            "val": {"NORMAL": 1, "PNEUMONIA": 1},
            "test": {"NORMAL": 2, "PNEUMONIA": 2},
        },
        notes=("understood: the splits lie in chest_xray.",),
    ),
    RealFolder(
        "hymenoptera",
        [
            "hymenoptera_data/train/{ants,bees}/{1..3}.jpg",
            "hymenoptera_data/val/{ants,bees}/{1..2}.jpg",
        ],
        {"hymenoptera_data/train/ants/imageNotFound.gif.txt": "x"},
        understood={"train": {"ants": 3, "bees": 3}, "val": {"ants": 2, "bees": 2}},
        notes=("understood: the splits lie in hymenoptera_data.",),
        set_aside=("hymenoptera_data/train/ants/imageNotFound.gif.txt",),
    ),
    RealFolder(
        "asl-alphabet",
        [
            "asl_alphabet_train/asl_alphabet_train/{A,B,space}/x{1..3}.jpg",
            "asl_alphabet_test/asl_alphabet_test/{A,B,space}_test.jpg",
        ],
        understood={"train": {"A": 3, "B": 3, "space": 3}, "test": {"": 3}},
        notes=(
            "understood: train is asl_alphabet_train/asl_alphabet_train; test is "
            "asl_alphabet_test/asl_alphabet_test.",
            "test has 3 images without a label: nothing is measured on it, `lamplighter predict` "
            "answers it.",
        ),
    ),
    RealFolder(
        "fruits-360",
        [
            "fruits-360/Training/{Apple Red 1,Banana}/{0..2}_100.jpg",
            "fruits-360/Test/{Apple Red 1,Banana}/{3..4}_100.jpg",
            "fruits-360/test-multiple_fruits/apples{1..2}.jpg",
        ],
        {"fruits-360/papers/article.pdf": b"pdf", "fruits-360/LICENSE": "MIT"},
        understood={
            "train": {"Apple Red 1": 3, "Banana": 3},
            "test": {"Apple Red 1": 2, "Banana": 2},
            "test-multiple_fruits": {"": 2},
        },
        notes=(
            "understood: the splits lie in fruits-360; train is Training; test is Test; "
            "test-multiple_fruits is test-multiple_fruits.",
            "test-multiple_fruits has 2 images without a label: nothing is measured on it, "
            "`lamplighter predict` answers it.",
        ),
        set_aside=("fruits-360/LICENSE", "fruits-360/papers/article.pdf"),
    ),
    RealFolder(
        "tiny-imagenet",
        [
            "tiny-imagenet-200/train/n0{1,2}/images/n_{0..2}.JPEG",
            "tiny-imagenet-200/{val,test}/images/v_{0..1}.JPEG",
        ],
        {"tiny-imagenet-200/val/val_annotations.txt": "v_0.JPEG\tn01\n"},
        understood={"train": {"n01": 3, "n02": 3}, "val": {"": 2}, "test": {"": 2}},
        notes=(
            "understood: the splits lie in tiny-imagenet-200; train is train; val is val/images; "
            "test is test/images.",
            "test has 2 images without a label: nothing is measured on it, `lamplighter predict` "
            "answers it.",
            "val has 2 images without a label: nothing is measured on it, `lamplighter predict` "
            "answers it.",
        ),
        set_aside=("tiny-imagenet-200/val/val_annotations.txt",),
    ),
    RealFolder(
        "plant-diseases-augmented",
        [
            "Plant Diseases(Aug)/Plant Diseases(Aug)/{train,valid}/{scab,healthy}/1.JPG",
            "test/test/AppleScab{1..3}.JPG",
        ],
        refused=r"has folders of splits \(test\) beside others \(Plant Diseases\(Aug\)\)",
    ),
    RealFolder(
        "ultralytics-classify",
        ["{train,val,test}/{person,car}/{1..2}.jpg"],
        {"dataset.yaml": "nc: 2\n", "train.cache": b"x"},
        understood={
            "train": {"car": 2, "person": 2},
            "val": {"car": 2, "person": 2},
            "test": {"car": 2, "person": 2},
        },
        set_aside=("dataset.yaml", "train.cache"),
    ),
    RealFolder(
        "roboflow-folder-structure",
        ["{train,valid,test}/{rock,paper}/a{1..2}_png.rf.0123abcd.jpg"],
        {"README.roboflow.txt": "x", "README.dataset.txt": "x"},
        understood={s: {"paper": 2, "rock": 2} for s in ("train", "val", "test")},
        set_aside=("README.dataset.txt", "README.roboflow.txt"),
    ),
    RealFolder(
        "torchvision-with-empty-classes",
        ["{train,val}/{a,b}/{1..2}.jpg"],
        {"train/c/notes.txt": "none yet", "train/.ipynb_checkpoints/a.jpg": b"x"},
        understood={s: {"a": 2, "b": 2} for s in ("train", "val")},
        set_aside=("train/c/notes.txt",),
    ),
    RealFolder(
        "ultralytics-detect",
        ["images/{train2017,val2017}/{1..3}.jpg"],
        {f"labels/train2017/{n}.txt": "0 0.5 0.5 1 1" for n in (1, 2, 3)},
        understood={"train": {"": 3}, "val": {"": 3}},
        notes=("understood: the splits lie in images; train is train2017; val is val2017.",),
        set_aside=tuple(f"labels/train2017/{n}.txt" for n in (1, 2, 3)),
    ),
    RealFolder(
        "mac-base-splits-below-classes",
        ["mac/base/{ants,bees}/{train,test}/x{1..2}.jpg"],
        {"mac/.DS_Store": b"x", "__MACOSX/._mac": b"x"},
        understood={"train": {"ants": 2, "bees": 2}, "test": {"ants": 2, "bees": 2}},
        notes=(
            "understood: the splits lie in mac/base; the splits lie in the classes: train is "
            "ants/train, test is ants/test.",
        ),
    ),
    RealFolder(
        "fer2013-folders",
        ["{Training,PublicTest,PrivateTest}/{angry,happy}/{1..2}.png"],
        understood={
            "train": {"angry": 2, "happy": 2},
            "val": {"angry": 2, "happy": 2},
            "test": {"angry": 2, "happy": 2},
        },
        notes=("understood: train is Training; val is PublicTest; test is PrivateTest.",),
    ),
    RealFolder(
        "two-test-sets",
        ["train_images/{cats,dogs}/{1..3}.png", "{test,test_night}/{cats,dogs}/{1..2}.png"],
        understood={"train": THREE, "test": TWO, "test-night": TWO},
        notes=("understood: train is train_images; test is test; test-night is test_night.",),
    ),
    RealFolder(
        "stanford-cars",
        [
            "car_data/car_data/train/{Audi A5,BMW X3}/{1..3}.jpg",
            "car_data/car_data/test/{Audi A5,BMW X3}/{1..2}.jpg",
        ],
        {"names.csv": "Audi A5\nBMW X3\n", "anno_train.csv": "00001.jpg,1,2,3,4,1\n"},
        understood={"train": {"Audi A5": 3, "BMW X3": 3}, "test": {"Audi A5": 2, "BMW X3": 2}},
        notes=("understood: the splits lie in car_data/car_data.",),
        set_aside=("anno_train.csv", "names.csv"),
    ),
]

CLASSES = [
    RealFolder(
        "keras-flower-photos",
        ["flower_photos/{daisy,roses,tulips}/1008_{1..2}.jpg"],
        {"flower_photos/LICENSE.txt": "CC-BY"},
        understood={"": {"daisy": 2, "roses": 2, "tulips": 2}},
        notes=("understood: the classes lie in flower_photos.",),
        set_aside=("flower_photos/LICENSE.txt",),
    ),
    RealFolder(
        "microsoft-petimages",
        ["PetImages/{Cat,Dog}/{0..2}.jpg"],
        {"PetImages/Cat/Thumbs.db": b"x", "readme[1].txt": "x", "MSR-LA - 3467.docx": b"x"},
        understood={"": {"Cat": 3, "Dog": 3}},
        notes=("understood: the classes lie in PetImages.",),
        set_aside=("MSR-LA - 3467.docx", "readme[1].txt"),
    ),
    RealFolder(
        "a-plot-beside-a-wrapper",
        ["confusion.png", "data/{cats,dogs}/{1..3}.jpg"],
        understood={"": {"": 1, **THREE}},
        notes=("understood: the classes lie in data.",),
    ),
    RealFolder(
        "mac-with-dots",
        ["{cats,dogs}/IMG {1..3}.jpg", "{cats,dogs}/._IMG 1.jpg", ".ipynb_checkpoints/a.png"],
        {".DS_Store": b"x"},
        understood={"": THREE},
    ),
    RealFolder(
        "vehicles-with-a-train",
        ["{bus,car,plane,train,trains}/{1..2}.jpg"],
        understood={"": dict.fromkeys(("bus", "car", "plane", "train", "trains"), 2)},
    ),
    RealFolder(
        "vehicles-in-splits",
        ["{train,test}/{bus,car,train}/{1..2}.jpg"],
        understood={s: dict.fromkeys(("bus", "car", "train"), 2) for s in ("train", "test")},
    ),
    RealFolder(
        "laboratory-and-sports",
        ["{test tube,beaker,evaluation board,training shoes,Devon Rex}/{1..2}.jpg"],
        understood={
            "": dict.fromkeys(
                ("Devon Rex", "beaker", "evaluation board", "test tube", "training shoes"), 2
            )
        },
    ),
    RealFolder(
        "machine-parts",
        ["part {1,2,3}/{1..2}.jpg"],
        understood={"": {"part 1": 2, "part 2": 2, "part 3": 2}},
    ),
    RealFolder(
        "coins-valid-and-not",
        ["{valid,invalid}/{1..2}.jpg"],
        understood={"": {"invalid": 2, "valid": 2}},
    ),
    RealFolder(
        "dog-breeds-by-year",
        ["{beagle,boxer}/{2023,2024}/{1..2}.jpg"],
        understood={"": {"beagle": 4, "boxer": 4}},
        notes=(
            "understood: the classes are beagle, boxer; each has the same folders in it (2023, "
            "2024), which are not told apart. If these are the classes, put the images of each "
            "together, or list the files in a CSV file with the columns path, label and split.",
        ),
    ),
    RealFolder(
        "camera-roll",
        ["IMG_20240501_1200{01..05}.jpg"],
        understood={"": {"": 5}},
    ),
    RealFolder(
        "dogs-vs-cats-flat",
        ["train/{cat,dog}.{0..3}.jpg", "test1/{1..2}.jpg"],
        {"sampleSubmission.csv": "id,label\n1,0\n2,0\n"},
        understood={"train": {"": 8}, "test": {"": 2}},
        notes=(
            "understood: train is train; test is test1.",
            "no image has a label, but names begin with cat (4), dog (4); if these are the "
            "classes, make a folder of each, or a CSV file with the columns path and label.",
        ),
        set_aside=("sampleSubmission.csv",),
    ),
    RealFolder(
        "names-that-say-the-class",
        ["{cat,dog}.{0..3}.jpg"],
        understood={"": {"": 8}},
        notes=(
            "no image has a label, but names begin with cat (4), dog (4); if these are the "
            "classes, make a folder of each, or a CSV file with the columns path and label.",
        ),
    ),
]

ZIPS = [
    RealFolder(
        "macos-zip",
        ["mac/base/{ants,bees}/{1..3}.jpg"],
        {"__MACOSX/mac/base/ants/._1.jpg": b"x", "mac/.DS_Store": b"x", "mac/notes.rtf": b"x"},
        at="insects.zip",
        understood={"": {"ants": 3, "bees": 3}},
        notes=("understood: the classes lie in mac/base.",),
        set_aside=("mac/notes.rtf",),
    ),
    RealFolder(
        "google-takeout",
        ["Takeout/Google Photos/{Cats,Dogs}/IMG_{1..3}.HEIC"],
        {
            "Takeout/Google Photos/Cats/IMG_1.HEIC.json": "{}",
            "Takeout/Google Photos/Cats/IMG_2.HEIC.supplemental-metadata.json": "{}",
            "Takeout/Google Photos/Cats/metadata.json": "{}",
            "Takeout/archive_browser.html": "<html>",
            "Takeout/Google Photos/Dogs/IMG_3.MP4": b"film",
        },
        at="takeout-20240501T120000Z-001.zip",
        understood={"": {"Cats": 3, "Dogs": 3}},
        notes=(
            "understood: 3 files of Google Takeout on the photos (.json) are not needed.",
            "understood: the classes lie in Takeout/Google Photos.",
        ),
        set_aside=(
            "Takeout/Google Photos/Dogs/IMG_3.MP4",
            "Takeout/archive_browser.html",
        ),
    ),
    RealFolder(
        "google-takeout-in-german",
        ["Takeout/Google Fotos/{Kühe,Esel}/IMG_{1..3}.jpg"],
        {"Takeout/Google Fotos/Kühe/Metadaten.json": "{}", "Takeout/Archiv_Übersicht.html": "x"},
        at="takeout-20240501T120000Z-002.zip",
        understood={"": {"Kühe": 3, "Esel": 3}},
        notes=(
            "understood: 1 file of Google Takeout on the photos (.json) is not needed.",
            "understood: the classes lie in Takeout/Google Fotos.",
        ),
        set_aside=("Takeout/Archiv_Übersicht.html",),
    ),
    RealFolder(
        "iphone-zip",
        ["IMG_{1001..1004}.HEIC", "IMG_{1005..1006}.JPG"],
        {"IMG_1001.MOV": b"film"},
        at="iCloud Photos.zip",
        understood={"": {"": 6}},
        set_aside=("IMG_1001.MOV",),
    ),
    RealFolder(
        "windows-zip",
        [r"Photos\{cats,dogs}\{1..3}.jpg"],
        at="Photos.zip",
        understood={"": THREE},
        notes=("understood: the classes lie in Photos.",),
    ),
    RealFolder(
        "kaggle-zip",
        ["archive/Training/{cats,dogs}/{1..3}.jpg", "archive/Test/{cats,dogs}/{1..2}.jpg"],
        at="archive.zip",
        understood={"train": THREE, "test": TWO},
        notes=("understood: the splits lie in archive; train is Training; test is Test.",),
    ),
    RealFolder(
        "kaggle-zip-with-a-csv",
        ["train/{1..4}.jpg", "test/{5..6}.jpg"],
        {
            "train.csv": table("id,label", "1,cats", "2,cats", "3,dogs", "4,dogs"),
            "sample_submission.csv": table("id,label", "5,cats", "6,cats"),
        },
        at="contest.zip",
        understood={"train": TWO, "test": {"": 2}},
        notes=(
            "understood: labels are read from train.csv.",
            "understood: path is the column id.",
            "understood: 4 names stand for the file of that name, such as 1 for train/1.jpg.",
            "test has 2 images without a label: nothing is measured on it, `lamplighter predict` "
            "answers it.",
        ),
        set_aside=("sample_submission.csv",),
    ),
    RealFolder(
        "zip-of-zips",
        [],
        {"train.zip": b"PK", "test1.zip": b"PK", "sampleSubmission.csv": "id,label\n"},
        at="dogs-vs-cats.zip",
        refused=r"archives in an archive \(test1\.zip, train\.zip\); unpack it",
    ),
    RealFolder(
        "zip-of-documents",
        [],
        {"report.docx": b"x", "mail.eml": b"x"},
        at="papers.zip",
        refused=r"must be a zip file of images, received one with mail\.eml, report\.docx",
    ),
    RealFolder(
        "zip-that-leads-out",
        ["cats/1.jpg", "../../evil.jpg"],
        at="evil.zip",
        refused=r"its name leads out of the folder",
    ),
]

TABLES = [
    RealFolder(
        "kaggle-dog-breed",
        ["train/{a1,b2,c3,d4}.jpg", "test/{e5,f6}.jpg"],
        {"labels.csv": table("id,breed", "a1,boxer", "b2,boxer", "c3,pug", "d4,pug")},
        at="labels.csv",
        understood={"": {"boxer": 2, "pug": 2}},
        notes=(
            "understood: path is the column id; label is the column breed.",
            "understood: 4 names stand for the file of that name, such as a1 for train/a1.jpg.",
        ),
    ),
    RealFolder(
        "fastai-labels",
        ["train/{0..3}.png"],
        {
            "labels.csv": table(
                "name,label,is_valid",
                "train/0.png,3,False",
                "train/1.png,7,False",
                "train/2.png,3,True",
                "train/3.png,7,True",
            )
        },
        at="labels.csv",
        understood={"train": {"3": 1, "7": 1}, "val": {"3": 1, "7": 1}},
        notes=(
            "understood: path is the column name; split is the column is_valid.",
            "understood: in is_valid, False is train, True is val.",
        ),
    ),
    RealFolder(
        "imagenette-with-a-csv",
        ["imagenette2-160/train/n0{1,2}/x{1..2}.JPEG", "imagenette2-160/val/n0{1,2}/y1.JPEG"],
        {
            "imagenette2-160/noisy_imagenette.csv": table(
                "path,noisy_labels_0,noisy_labels_1,is_valid", "train/n01/x1.JPEG,n01,n02,False"
            )
        },
        understood={"train": {"n01": 2, "n02": 2}, "val": {"n01": 1, "n02": 1}},
        notes=("understood: the splits lie in imagenette2-160.",),
        set_aside=("imagenette2-160/noisy_imagenette.csv",),
    ),
    RealFolder(
        "imagenette-csv-itself",
        ["train/n0{1,2}/x1.JPEG"],
        {
            "noisy.csv": table(
                "path,noisy_labels_0,noisy_labels_1,is_valid", "train/n01/x1.JPEG,a,b,False"
            )
        },
        at="noisy.csv",
        refused=r"noisy\.csv, line 1: the first line must name the columns path and label",
    ),
    RealFolder(
        "hf-imagefolder-metadata",
        ["train/{0001,0002,0003,0004}.png", "validation/{0005,0006}.png"],
        {
            "train/metadata.csv": table(
                "file_name,label",
                "0001.png,cats",
                "0002.png,cats",
                "0003.png,dogs",
                "0004.png,dogs",
            ),
            "validation/metadata.csv": table("file_name,label", "0005.png,cats", "0006.png,dogs"),
        },
        understood={"train": TWO, "val": {"cats": 1, "dogs": 1}},
        notes=(
            "understood: labels are read from train/metadata.csv.",
            "understood: path is the column file_name.",
            "understood: labels are read from validation/metadata.csv.",
        ),
    ),
    RealFolder(
        "hf-metadata-of-all-splits",
        ["train/{1..4}.png", "test/{5..6}.png"],
        {
            "metadata.csv": table(
                "file_name,label",
                *(f"train/{n}.png,{'cats' if n < 3 else 'dogs'}" for n in range(1, 5)),
                "test/5.png,cats",
                "test/6.png,dogs",
            )
        },
        at="metadata.csv",
        understood={"train": TWO, "test": {"cats": 1, "dogs": 1}},
        notes=(
            "understood: path is the column file_name.",
            "understood: the splits are the folders of the files; test is test, train is train.",
        ),
    ),
    RealFolder(
        "fer2013-usage",
        ["{1..4}.png"],
        {
            "icml.csv": table(
                "Image,Emotion,Usage",
                "1.png,angry,Training",
                "2.png,happy,Training",
                "3.png,happy,PublicTest",
                "4.png,happy,PrivateTest",
            )
        },
        at="icml.csv",
        understood={"train": {"angry": 1, "happy": 1}, "val": {"happy": 1}, "test": {"happy": 1}},
        notes=(
            "understood: path is the column Image; label is the column Emotion; split is the "
            "column Usage.",
            "understood: in Usage, PrivateTest is test, PublicTest is val, Training is train.",
        ),
    ),
    RealFolder(
        "ham10000",
        ["HAM10000_images_part_1/ISIC_{1..2}.jpg", "HAM10000_images_part_2/ISIC_{3..4}.jpg"],
        {
            "HAM10000_metadata.csv": table(
                "lesion_id,image_id,dx,age",
                "L1,ISIC_1,nv,40",
                "L2,ISIC_2,bkl,50",
                "L3,ISIC_3,nv,60",
                "L4,ISIC_4,bkl,70",
            )
        },
        at="HAM10000_metadata.csv",
        understood={"": {"bkl": 2, "nv": 2}},
        notes=(
            "understood: path is the column image_id; label is the column dx.",
            "understood: 4 names stand for the file of that name, such as ISIC_1 for "
            "HAM10000_images_part_1/ISIC_1.jpg.",
        ),
    ),
    RealFolder(
        "folds-by-number",
        ["{1..4}.png"],
        {"all.csv": table("path,label,fold", "1.png,a,0", "2.png,b,1", "3.png,a,2", "4.png,b,0")},
        at="all.csv",
        understood={"": {"a": 2, "b": 2}},
        notes=(
            "the column fold looks like splits but holds numbers (0, 1, 2), of which none is known "
            "to be the test set; write train, val or test into a column split.",
        ),
    ),
    RealFolder(
        "subset-of-something-else",
        ["{1..3}.png"],
        {
            "all.csv": table(
                "path,label,subset,patient_id",
                "1.png,a,summer,p",
                "2.png,b,winter,p",
                "3.png,a,winter,q",
            )
        },
        at="all.csv",
        understood={"": {"a": 2, "b": 1}},
        notes=(
            "the column patient_id is not used; call it group, and what it names stays in one "
            "split.",
            "the column subset is not used: summer, winter are not all names of splits; write "
            "train, val or test into a column split, if they are meant so.",
        ),
    ),
    RealFolder(
        "gtsrb",
        ["Train/{0,1}/{1..2}.png", "Test/{1..2}.png"],
        {
            "Test.csv": table(
                "Width,Height,ClassId,Path", "30,30,0,Test/1.png", "30,30,1,Test/2.png"
            )
        },
        at="Test.csv",
        understood={"": {"0": 1, "1": 1}},
        notes=("understood: label is the column ClassId.",),
    ),
    RealFolder(
        "two-label-columns",
        ["{1..2}.png"],
        {"all.csv": table("path,species,breed", "1.png,cat,siamese", "2.png,cat,persian")},
        at="all.csv",
        refused=r"line 1: one column must be the label, received several .*species, breed",
    ),
    RealFolder(
        "one-name-in-two-folders",
        ["{left,right}/{1..2}.png"],
        {"all.csv": table("id,label", "1,a", "2,b")},
        at="all.csv",
        refused=r"1 must be one file, received left/1\.png and right/1\.png",
    ),
]

REFUSED = [
    RealFolder(
        "training-beside-classes",
        ["Training/{1..3}.jpg", "cats/{1..3}.jpg"],
        refused=r"has folders of splits \(Training\) beside others \(cats\); move .* rename",
    ),
    RealFolder(
        "fastai-test-beside-classes",
        ["{ok,nok,unsure}/{1..2}.jpg", "test/{1..4}.jpg"],
        refused=r"folders of splits \(test\) beside others \(nok, ok, unsure\)",
    ),
    RealFolder(
        "ultralytics-with-its-runs",
        ["{train,val}/{gym,pool}/{1..2}.jpg", "runs/classify/train/batch{0..2}.jpg"],
        refused=r"folders of splits \(train, val\) beside others \(runs\)",
    ),
    RealFolder(
        "gtsrb-with-meta",
        ["Train/{0,1}/{1..2}.png", "{Test,Meta}/{1..2}.png"],
        refused=r"folders of splits \(Test, Train\) beside others \(Meta\)",
    ),
    RealFolder(
        "classes-beside-a-set-of-them",
        ["{cats,dogs,more}/{1..2}.jpg", "new/{cats,dogs}/{1..2}.jpg"],
        refused=r"has a folder new whose folders are called like those beside it \(cats, dogs\)",
    ),
    RealFolder(
        "splits-of-a-split",
        ["train/{train,val}/{1..2}.jpg", "test/{cats,dogs}/{1..2}.jpg"],
        refused=r"\(train\) must hold folders of classes, received folders of splits once more",
    ),
    RealFolder(
        "splits-and-more",
        ["{train,valid,old}/{cats,dogs}/{1..2}.jpg"],
        refused=r"folders of splits \(train, valid\) beside others \(old\)",
    ),
    RealFolder(
        "set-with-a-copy-inside",
        [
            "{train,test}/{NORMAL,PNEUMONIA}/1.jpeg",
            "chest_xray/{train,test}/{NORMAL,PNEUMONIA}/1.jpeg",
        ],
        refused=r"folders of splits \(test, train\) beside others \(chest_xray\)",
    ),
    RealFolder(
        "two-sets-in-one",
        ["{office,home}/{train,test}/{cup,pen}/{1..2}.jpg"],
        refused=r"must be one data set, received folders with splits and classes of their own",
    ),
    RealFolder(
        "no-class-in-common",
        ["train/{cats,dogs}/{1..2}.jpg", "test/{CATS,DOGS}/{1..2}.jpg"],
        refused=r"same classes in train and test, .* none in common but for the case of letters",
    ),
    RealFolder(
        "splits-in-some-classes",
        ["ants/{train,test}/{1..2}.jpg", "bees/{1..4}.jpg"],
        refused=r"splits in them \(ants: test, train\) beside others without \(bees\)",
    ),
    RealFolder(
        "folds-as-folders",
        ["fold{1..3}/{cats,dogs}/{1..2}.jpg"],
        refused=r"look like parts of one set, not like classes \(fold1, fold2, fold3\)",
    ),
    RealFolder(
        "nih-chest-xrays",
        ["images_0{01..12}/images/0000{1..2}.png"],
        {"Data_Entry_2017.csv": "Image Index,Finding Labels\n"},
        refused=r"look like parts of one set, not like classes \(images_001, .* and 7 more\)",
    ),
    RealFolder(
        "class-and-split-in-a-name",
        ["{cat,dog}_{train,test}/{1..2}.jpg"],
        refused=r"name a class and a split at once",
    ),
    RealFolder(
        "documents",
        [],
        {"a.docx": b"x", "b.txt": "x"},
        refused=r"must hold images, received a folder without any",
    ),
]

ALL = [*SPLITS, *CLASSES, *ZIPS, *TABLES, *REFUSED]
