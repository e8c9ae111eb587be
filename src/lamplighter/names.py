"""Names from a list: which of them is meant, and what an error says where none is."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CLOSE = 0.65  # share of letters that two names have in common, as `difflib` measures it
_SLIP = 0.85  # the share from which they differ by a slip of the finger
_TELLING = 3  # letters from which a name says something of what contains it
_FEW = 10  # names that an error lists to the last
_FIRST = 5  # names of a longer list that it begins with
_ENTRIES = 10_000  # of a folder that are looked at


def same_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is spelt as `name`, but for case, spaces, dots, - and _.

    None where there is none, or more than one.

    Example:
        >>> same_name("GradCAM", ["saliency", "grad-cam"])
        'grad-cam'
    """
    known = list(dict.fromkeys(known))
    if name in known:
        return name
    alike = [one for one in known if _letters(one) == _letters(name)]
    return alike[0] if len(alike) == 1 else None


def near_names(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Return the known names that `name` may have been meant for, the likeliest first.

    These are names of the same spelling, names that contain it or are contained in it, and names
    with most of its letters in their order (Ratcliff and Metzener, 1988, as `difflib` does it).

    Args:
        name: as it was given.
        known: names that there are.
        most: how many to return.

    Example:
        >>> near_names("mnst", ["mnist", "emoji", "boats"])
        ['mnist']
    """
    import difflib  # when something is wrong, and not at each start

    known, wanted = list(dict.fromkeys(known)), _letters(name)
    same = [one for one in known if _letters(one) == wanted]
    if len(wanted) < _TELLING:
        words = [one for one in known if wanted in re.split(r"[\s._-]+", one.casefold())]
        begun = [one for one in known if wanted and _letters(one)[:-1] == wanted]
        return list(dict.fromkeys([*same, *words, *begun]))[:most]
    within = sorted(
        (one for one in known if _holds(_letters(one), wanted)),
        key=lambda one: (not _letters(one).startswith(wanted), len(one)),
    )
    spelt: dict[str, list[str]] = {}
    for one in known:
        spelt.setdefault(_letters(one), []).append(one)
    close = difflib.get_close_matches(wanted, spelt, n=most, cutoff=_CLOSE)
    slips = difflib.get_close_matches(wanted, spelt, n=most, cutoff=_SLIP)
    near = [[one for letters in found for one in spelt[letters]] for found in (slips, close)]
    found = [*same, *near[0], *within, *near[1]]
    return list(dict.fromkeys(found))[:most]


def suggestion(name: str, known: Iterable[str], *, opening: str = "there are") -> str:
    """Return how an error on an unknown name ends: near names, and what there is.

    Args:
        name: as it was given.
        known: names that there are.
        opening: what the list of them begins with, such as "it has".

    Example:
        >>> suggestion("labb", ["lab", "quick"])
        "did you mean 'lab'? There are lab, quick."
        >>> suggestion("xyz", ["lab", "quick"])
        'there are lab, quick.'
    """
    known = list(dict.fromkeys(known))
    near = near_names(name, known)
    if not near:
        return f"{opening} {_listed(known) if known else 'none'}."
    asked = f"did you mean {either(near)}?"
    if not 1 < len(known) <= _FEW:
        return asked
    return f"{asked} {opening.capitalize()} {_listed(known)}."


def meant(name: object, known: Iterable[str]) -> str:
    """Return how a sentence on a wrong name ends: with the near ones, or with nothing.

    Example:
        >>> meant("labb", ["lab", "quick"])
        "; did you mean 'lab'?"
    """
    near = near_names(name, known, most=1) if isinstance(name, str) else []
    return f"; did you mean {either(near)}?" if near else ""


def either(names: Iterable[str]) -> str:
    """Return names as an error offers them: 'this' or 'that'."""
    return " or ".join(map(repr, names))


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the message of an error on a name that is not in a list.

    Args:
        kind: what it is a name of, such as "recipe".
        name: as it was given; a value that is no text has no near names.
        known: names that there are.

    Example:
        >>> unknown_name("recipe", "labb", ["lab", "quick"])
        "there is no recipe 'labb'; did you mean 'lab'? There are lab, quick."
    """
    text = name if isinstance(name, str) else ""
    return f"there is no {kind} {name!r}; {suggestion(text, known)}"


def wrong_choice(what: str, value: object, choices: Iterable[str]) -> str:
    """Return the message of an error on an argument that must be one of a few names.

    Args:
        what: the argument, such as "fit".
        value: what was received.
        choices: names that it may be.

    Example:
        >>> wrong_choice("fit", "sqash", ["squash", "crop"])
        "fit must be one of squash, crop, received 'sqash'; did you mean 'squash'?"
    """
    choices = list(choices)
    near = near_names(value, choices) if isinstance(value, str) else []
    ending = f"; did you mean {either(near)}?" if near else "."
    return f"{what} must be one of {', '.join(choices)}, received {value!r}{ending}"


def near_paths(path: str | Path, *, most: int = 3) -> list[str]:
    """Return files and folders that `path`, which is not there, may have been meant for.

    It is compared where it goes wrong first: of "data/bots/cat.png" these are the neighbours of
    "bots". Those of another ending come in where none has the same.

    Args:
        path: relative paths lead to relative ones.
        most: how many to return.
    """
    try:
        wrong = whole = Path(path)
        while not wrong.parent.exists():
            wrong = wrong.parent
        with os.scandir(wrong.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, _ENTRIES)]
        hidden = wrong.name.startswith(".")
        names = sorted(name for name in names if hidden or not name.startswith("."))
        stems = near_names(wrong.stem, [Path(name).stem for name in names], most=most)
        near = [wrong.parent / name for stem in stems for name in names if Path(name).stem == stem]
        rest = whole.relative_to(wrong)
        found = [one / rest for one in near if (one / rest).exists()] or near
    except (OSError, ValueError):  # what may not be read, and names that no system has
        return []
    same_ending = [one for one in found if one.suffix.lower() == whole.suffix.lower()]
    return [str(one) for one in (same_ending or found)[:most]]


def no_such_path(kind: str, path: str | Path) -> str:
    """Return the message of an error on a path that is not there.

    Args:
        kind: what it was to be, such as "folder".
        path: as it was given.
    """
    near = near_paths(path)
    told = f"did you mean {either(near)}?" if near else "check the name."
    text = str(path)
    return f"there is no {kind} {text if text.isprintable() else repr(text)}; {told}"


def _letters(name: str) -> str:
    """Return what is left of a name without case and without what joins its words."""
    return re.sub(r"[\s._-]+", "", name.casefold())


def _holds(one: str, other: str) -> bool:
    """Return whether the shorter of two names is a telling part of the longer one."""
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= _TELLING and shorter in longer


def _listed(names: Sequence[str]) -> str:
    few = names if len(names) <= _FEW else names[:_FIRST]
    plain = all(re.fullmatch(r"[^\s,;'\"]+", name) for name in few)
    text = ", ".join(few if plain else map(repr, few))
    return text if len(few) == len(names) else f"{text} and {len(names) - len(few):,} more"
