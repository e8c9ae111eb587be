"""ES modules as one script, for a page that is a single file and may fetch nothing.

Each module becomes a function that returns what it exports, after those that it imports. What is
allowed is little, so that no JavaScript has to be understood: `import { a, b } from "./x.js";`, and
`export` before a function, class or const at the beginning of a line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_IMPORT = re.compile(r'^import \{\s*([^}]*?),?\s*\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const)) (\w+)", re.MULTILINE)
_LEFT_OVER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def inlined(main: str, read: Callable[[str], str]) -> str:
    """Return the module `main` and all that it imports as one script.

    Args:
        main: name of the module that is run last.
        read: gives the text of a module by its name.

    Raises:
        ValueError: a module imports or exports in another way, or modules import one another.
    """
    parts: dict[str, str] = {}
    _add(main, read, parts, ())
    return "".join(parts.values())


def _add(
    name: str, read: Callable[[str], str], parts: dict[str, str], above: tuple[str, ...]
) -> None:
    if name in above:
        raise ValueError(f"modules import one another: {' > '.join((*above, name))}")
    if name in parts:
        return
    text = read(name)
    for _, needed in _IMPORT.findall(text):
        _add(needed, read, parts, (*above, name))
    text, exported = _IMPORT.sub(_taken, text), [export for _, export in _EXPORT.findall(text)]
    text = _EXPORT.sub(r"\1 \2", text)
    if left := _LEFT_OVER.search(text):
        raise ValueError(f"{name} has a line that cannot be inlined: {left[0]}")
    given = f"return {{ {', '.join(exported)} }};\n" if exported else ""
    parts[name] = f"// {name}\nconst {_variable(name)} = (() => {{\n{text}{given}}})();\n\n"


def _taken(found: re.Match[str]) -> str:
    names = ", ".join(found[1].replace("\n", " ").split(", "))
    return f"const {{ {' '.join(names.split())} }} = {_variable(found[2])};\n"


def _variable(module: str) -> str:
    return f"{module.removesuffix('.js')}_module"
