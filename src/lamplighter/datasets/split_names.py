"""Which split a name means: of folders and of cells, as people and their programs write them.

The words are those of torchvision, Keras, fastai, Ultralytics and Hugging Face, and of the sets
that people share; what may stand around them (`train_images`, `seg_test`, `val2017`, `PublicTest`,
`data-train`) says nothing of a class. A word is never looked for inside another one: "trains",
"test tube" and "evaluation board" are things that a photo may show.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lamplighter.files.naming import clean_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_TRAIN, _VAL, _TEST, _EVAL, _PRED = "train", "val", "test", "eval", "pred"
_WORDS = {
    _TRAIN: "train training trn",
    _VAL: "val valid validation validate dev devel",
    _TEST: "test testing tests tst holdout heldout",
    _EVAL: "eval evaluation evaluate",
    _PRED: "pred predict prediction predictions inference unlabeled unlabelled",
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words.split()}
# What may stand beside such a word without making another thing of it.
_FILLER = (
    "set sets data dataset datasets image images img imgs pic pics picture pictures photo photos "
    "file files folder dir split splits sample samples subset part partition full small mini tiny "
    "large big raw clean cleaned final new resized cropped scaled aug augmented original orig "
    "public private labeled labelled seg jpg jpeg png class classes classification x v px"
)
_FILLERS = frozenset(_FILLER.split())
_VOCABULARY = sorted({*_ROLES, *_FILLERS}, key=len, reverse=True)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PIECES = re.compile(r"[^\W\d_]+|\d+")


class SplitName(NamedTuple):
    """What a name says of splits.

    Attributes:
        role: "train", "val", "test", "eval" or "pred"; "" where it says nothing.
        around: what stands around the word and means something by itself, as in "test tube".
        exact: whether nothing at all stands around it.
        public: "public" or "private", as contests have two test sets; "" elsewhere.
    """

    role: str = ""
    around: tuple[str, ...] = ()
    exact: bool = False
    public: str = ""

    @property
    def certain(self) -> bool:
        """Whether the name can hardly mean anything but a split."""
        return bool(self.role) and not self.around


@lru_cache(maxsize=4096)
def read_split_name(name: str) -> SplitName:
    """Return what `name` says of splits, on its own."""
    text = unicodedata.normalize("NFKC", name).strip()
    text = re.sub(r"(?i)(hold|held)[-_ ]out", "holdout", text)
    pieces = [piece.casefold() for piece in _PIECES.findall(_CAMEL.sub(" ", text))]
    tokens = [token for piece in pieces for token in _segmented(piece)]
    roles = list(dict.fromkeys(_ROLES[token] for token in tokens if token in _ROLES))
    if set(roles) == {_TRAIN, _VAL}:  # trainval: all that may be learned from
        roles = [_TRAIN]
    if len(roles) != 1:
        return SplitName()
    others = [token for token in tokens if token not in _ROLES]
    around = tuple(t for t in others if t not in _FILLERS and not t.isdecimal())
    public = next((token for token in others if token in ("public", "private")), "")
    return SplitName(roles[0], around, len(tokens) == 1, public)


def _segmented(word: str) -> list[str]:
    """Return the known words that `word` is made of, as in "trainset"; else `word` alone."""
    if word in _ROLES or word in _FILLERS:
        return [word]
    for known in _VOCABULARY:
        if len(known) > 2 and word.startswith(known):
            rest = _segmented(word[len(known) :])
            if all(part in _ROLES or part in _FILLERS for part in rest):
                return [known, *rest]
    return [word]


def split_name(name: str) -> str:
    """Return the split that a name means on its own, "" where it means none.

    Further test sets are named test-NAME.
    """
    return resolve_splits([name])[name]


def _further(name: str) -> str:
    """Return test-NAME as the name of a further test set, "" where `name` is not of that form."""
    text = name.strip()
    if text[:5].lower() in ("test-", "test_") and len(text) > 5:
        return "test-" + clean_name(text[5:])
    return ""


def resolve_splits(names: Iterable[str]) -> dict[str, str]:
    """Return which split each of the names beside one another means, "" for none.

    Several test sets get names of their own; "eval" is the test set where there is no other, else
    the validation set if there is none. A name such as seg_test, whose word has others around it,
    means a split where another one, as seg_train, differs from it by that word alone.
    """
    names = list(dict.fromkeys(names))
    read = {name: read_split_name(name) for name in names}
    certain = {name for name in names if read[name].certain} | _paired(read)
    roles = {name: read[name].role for name in certain}
    result = dict.fromkeys(names, "")
    result |= {name: role for name, role in roles.items() if role in (_TRAIN, _VAL)}
    tests = [name for name, role in roles.items() if role == _TEST]
    result |= _named_tests(names, tests, read, has_val=_VAL in roles.values())
    for name in names:
        taken = set(result.values())
        if roles.get(name) == _EVAL:
            free = [split for split in (_TEST, _VAL) if split not in taken]
            result[name] = free[0] if free else "test-eval"
        elif roles.get(name) == _PRED:
            result[name] = "test-pred"
        elif name not in certain:
            result[name] = _further(name)
    return result


def _named_tests(
    names: list[str], tests: list[str], read: dict[str, SplitName], *, has_val: bool
) -> dict[str, str]:
    """Return the split of each test set: one is "test", others "test-NAME"."""
    exact = [name for name in tests if read[name].exact]
    result = dict.fromkeys(exact, _TEST)
    others = [name for name in tests if name not in exact]
    kinds = {read[name].public: name for name in others}
    if not exact and len(others) == 2 and {"public", "private"} == set(kinds):
        # As in FER-2013: the public part was there to choose by, the private one to judge.
        return {
            kinds["private"]: _TEST,
            kinds["public"]: "test-public" if has_val else _VAL,
        }
    if len(others) == 1 and not exact:
        return {others[0]: _TEST}
    return result | {name: _further(name) or f"test-{clean_name(name)}" for name in others}


def _paired(read: dict[str, SplitName]) -> set[str]:
    """Return names that differ by the word for a split alone, such as pets_train and pets_test."""
    alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, one in read.items():
        if one.around:
            alike[one.around].append(name)
    return {
        name
        for found in alike.values()
        if len({read[name].role for name in found}) > 1
        for name in found
    }
