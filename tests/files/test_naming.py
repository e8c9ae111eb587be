from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from lamplighter.files.naming import clean_name, shown


@given(st.binary(max_size=30))
def test_a_clean_name_is_text_whatever_the_bytes_were(name: bytes) -> None:
    cleaned = clean_name(name.decode("utf-8", "surrogateescape"))
    assert cleaned.encode().decode() == cleaned
    assert clean_name(cleaned) == cleaned


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_both_ways_of_writing_an_accent_are_one_name(name: str) -> None:
    forms = {clean_name(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")}
    assert forms == {unicodedata.normalize("NFC", name)}


def test_shown_is_one_line() -> None:
    assert shown("a b") == "a b"
    assert shown("a\nb") == "'a\\nb'"
