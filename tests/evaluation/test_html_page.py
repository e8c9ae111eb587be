from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from lamplighter.evaluation.html_page import escaped, html_page

EVIL = '</title><script>alert("1")</script>&amp;\x1b[31m\u202e船'


class Reader(HTMLParser):
    """Reads a page, and holds it to be well-formed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: dict[str, str] = {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.words[self.open[-1]] = self.words.get(self.open[-1], "") + data


def luminance(color: str) -> float:
    """Return the relative luminance of WCAG 2, 0 (black) to 1 (white)."""
    shares = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_any_text_is_shown_and_does_nothing() -> None:
    page = html_page(EVIL, f"<p>{escaped(EVIL)}</p>", style=".mine { color: red; }\n")
    read = Reader(page)
    assert "<script" not in page
    for place in ("title", "p"):
        assert '</title><script>alert("1")</script>&amp;\\x1b[31m\\u202e船' in read.words[place]
    assert read.words["style"].rstrip().endswith(".mine { color: red; }")
    assert "default-src 'none'" in page


@pytest.mark.parametrize("scheme", [0, 1])
def test_words_have_contrast_in_light_and_in_dark(scheme: int) -> None:
    palettes = re.findall(r":root \{(.*?)\}", html_page("", ""), re.DOTALL)
    assert len(palettes) == 2
    colors = dict(re.findall(r"--(\w+): (#\w{6});", palettes[scheme]))
    for ground in ("ground", "card"):
        for words in ("ink", "soft", "blue", "orange", "red"):
            dark, bright = sorted(luminance(colors[name]) for name in (ground, words))
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, (ground, words)
