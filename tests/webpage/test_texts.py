"""The words of a page, and their translation."""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest

from lamplighter.errors import DataError
from lamplighter.webpage.texts import english, translated

FOLDER = resources.files("lamplighter.webpage") / "browser"


def written(path, table):
    path.write_text(table if isinstance(table, str) else json.dumps(table), "utf-8")
    return path


def test_each_text_is_used_and_each_that_is_used_is_there():
    code = "".join(path.read_text("utf-8") for path in FOLDER.iterdir())
    asked = set(re.findall(r'data-(?:text|label)="([\w-]+)"', code))
    asked |= set(re.findall(r'(?:\btext|status|(?<!classList\.)add)\("([\w-]+)"', code))
    words = english()
    assert asked - set(words) == set()
    assert [key for key in words if f'"{key}"' not in code and not key.startswith("problem-")
            and not key.startswith("input-") and key not in ("lang", "dir")] == []  # fmt: skip
    problems = set(re.findall(r'new ImageProblem\("([\w-]+)"', code))
    problems -= {"rare"}  # which the browser is to try
    assert {f"problem-{kind}" for kind in problems} <= set(words)


def test_what_is_not_translated_stays_english(tmp_path):
    own = {"lang": "de", "choose": "Bilder wählen", "title": "Bilderkennung: {name}"}
    words = translated(written(tmp_path / "de.json", own))
    assert words["choose"] == "Bilder wählen"
    assert words["clear"] == english()["clear"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"chose": "Wähle"}, "there is no text 'chose'; did you mean 'choose'"),
        ({"choose": 3}, "must be a string, received 3"),
        ({"title": "Bilder"}, r"'title' must hold \{name\}, received none"),
        ({"choose": "{n} Bilder"}, r"'choose' must hold no braces, received \{n\}"),
        ({"lang": '"><script>'}, "must be a language"),
        ({"dir": "down"}, "must be ltr or rtl"),
        ([1, 2], "one JSON object"),
        ("{", "must be a table in JSON"),
    ],
)
def test_a_wrong_table_is_told(tmp_path, table, said):
    with pytest.raises(DataError, match=said):
        translated(written(tmp_path / "de.json", table))


def test_a_missing_table_is_told(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        translated(tmp_path / "none.json")
