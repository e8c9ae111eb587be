"""ES modules as one script."""

from __future__ import annotations

from importlib import resources

import pytest

from lamplighter.webpage.inlining import inlined


def read_from(modules: dict[str, str]):
    return modules.__getitem__


def test_modules_come_after_those_that_they_import_and_once():
    script = inlined(
        "main.js",
        read_from(
            {
                "main.js": 'import { b } from "./b.js";\nimport { c } from "./c.js";\nb(c);\n',
                "b.js": 'import {\n  c, d,\n} from "./c.js";\nexport function b() {}\n',
                "c.js": "export const c = 1;\nexport const d = 2;\nconst own = 3;\n",
            }
        ),
    )
    assert script.count("// c.js") == script.count("// b.js") == 1
    assert script.index("// c.js") < script.index("// b.js") < script.index("// main.js")
    assert "const { c, d } = c_module;" in script
    assert "return { c, d };" in script
    assert "import " not in script
    assert "export " not in script


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('import * as b from "./b.js";\n', "cannot be inlined: import"),
        ('import b from "b";\n', "cannot be inlined: import"),
        ("export default 3;\n", "cannot be inlined: export default"),
        ('import { a } from "./main.js";\n', r"import one another: main\.js > main\.js"),
    ],
)
def test_other_forms_are_refused(text, said):
    with pytest.raises(ValueError, match=said):
        inlined("main.js", read_from({"main.js": text, "b.js": ""}))


def test_the_modules_of_the_page_can_be_inlined_and_none_is_left_out():
    folder = resources.files("lamplighter.webpage") / "browser"
    script = inlined("main.js", lambda name: (folder / name).read_text("utf-8"))
    names = [path.name for path in folder.iterdir() if path.name.endswith(".js")]
    assert [name for name in names if f"// {name}\n" not in script] == []
    assert "</script" not in script
    assert "<!--" not in script
