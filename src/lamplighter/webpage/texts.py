"""The words of a page: English in one table, `texts.json`, which a translation replaces."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from lamplighter.errors import DataError
from lamplighter.names import unknown_name

if TYPE_CHECKING:
    from pathlib import Path

_PLACE = re.compile(r"\{\w+\}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def english() -> dict[str, str]:
    """Return the table of English words, by key."""
    text = (resources.files("lamplighter.webpage") / "texts.json").read_text("utf-8")
    words: dict[str, str] = json.loads(text)
    return words


def translated(path: Path) -> dict[str, str]:
    """Return the table in a JSON file; what it does not have stays in English.

    Raises:
        DataError: the file cannot be read, is no such table, has a key that there is not, or a text
            lacks or adds a place in {braces}.
    """
    own, words = _read(path), english()
    for key, text in own.items():
        if key not in words:
            raise DataError(f"{path}: {unknown_name('text', key, words)}")
        if not isinstance(text, str):
            raise DataError(f"{path}: the text {key!r} must be a string, received {text!r}.")
        wanted, given = (set(_PLACE.findall(one)) for one in (words[key], text))
        if wanted != given:
            raise DataError(
                f"{path}: the text {key!r} must hold {', '.join(sorted(wanted)) or 'no braces'}, "
                f"received {', '.join(sorted(given)) or 'none'}; write them as in English."
            )
    words |= own
    if not _LANGUAGE.fullmatch(words["lang"]):
        raise DataError(f"{path}: lang must be a language such as de, received {words['lang']!r}.")
    if words["dir"] not in ("ltr", "rtl"):
        raise DataError(f"{path}: dir must be ltr or rtl, received {words['dir']!r}.")
    return words


def _read(path: Path) -> dict[str, Any]:
    try:
        own = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(
            f"{path} must be a table in JSON, UTF-8: {error}; begin with the English one, which "
            "lamplighter page BUNDLE --print-texts prints."
        ) from error
    if not isinstance(own, dict):
        raise DataError(f"{path} must be one JSON object of texts by key, received {own!r:.60}.")
    return own
