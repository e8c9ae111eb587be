"""The frame and the style of the HTML pages: one file each that needs and fetches nothing else."""

from __future__ import annotations

from html import escape

from lamplighter.files.naming import clean_name, shown

# The browser refuses scripts and addresses, whatever a file name on the page tries.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# Colours, type and tables of all pages; what one page alone has, it adds. Words have a contrast of
# 4.5 or more to the ground and to cards, in light and in dark.
SHARED_STYLE = """\
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #5a5a5a; --ground: #fdfdfc;
  --card: #ffffff; --line: #d9d9d6; --blue: #00508a; --orange: #a03c00; --red: #a4161a; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececea; --soft: #b4b4b0; --ground: #191919;
  --card: #242424; --line: #43433f; --blue: #8cc4f0; --orange: #f2a679; --red: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .3rem 0; } .soft { color: var(--soft); font-size: .9rem; }
figure { margin: 0; } figure img { display: block; max-width: 100%; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); }
.number { text-align: right; }
pre { overflow-x: auto; font-size: .85rem; }
"""


def html_page(title: str, body: str, *, style: str = "") -> str:
    """Return a page of HTML that needs and fetches nothing else.

    Args:
        title: plain text, for the tab of the browser.
        body: HTML; `escaped` makes it of text.
        style: CSS of this page alone, after what all pages share.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{SHARED_STYLE}{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def escaped(text: str) -> str:
    """Return `text` as HTML on one line, whatever characters it has."""
    return escape(clean_name(shown(text)))
