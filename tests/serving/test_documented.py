"""The examples of `curl` in the documentation, as they stand there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.doc_examples import ROOT, blocks

from . import bundles

PAGE = Path(ROOT, "docs", "how-to", "serve.md")
TOKEN = "0123456789abcdef"


def lines():
    """Return the lines of `curl` on the page."""
    text = "\n".join(text for language, text in blocks(PAGE) if language == "sh")
    return [line for line in text.splitlines() if line.startswith("curl ")]


def test_each_is_answered(listening_service, bundle, tmp_path):
    from lamplighter.datasets.folders import find_files
    from lamplighter.features.extraction import embed
    from lamplighter.features.index.index import Index
    from lamplighter.saving.bundle import load

    (tmp_path / "photos" / "cat").mkdir(parents=True)
    for number, image in enumerate(bundles.pictures(3)):
        (tmp_path / "photos" / "cat" / f"{number}.png").write_bytes(image)
    for name in ("cat.jpg", "dog.jpg"):
        (tmp_path / name).write_bytes(bundles.pictures(1)[0])
    (tmp_path / "token.txt").write_text(TOKEN)
    index, files = tmp_path / "photos.index", find_files(tmp_path / "photos")
    Index.create(index, embed(load(bundle), files, cache=False)).close()
    options = {"index": index, "explain": True}
    open_to_all, guarded = listening_service(**options), listening_service(token=TOKEN)
    asked = []
    for line in lines():
        address = guarded if "token.txt" in line else open_to_all
        command = line.replace("http://127.0.0.1:8000", address).replace("curl ", "curl -sS ", 1)
        ended = subprocess.run(
            command, shell=True, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=30
        )
        assert ended.returncode == 0, ended.stderr
        document = json.loads(ended.stdout)
        assert "error" not in document, f"{line}\n{ended.stdout}"
        assert not document.get("errors")
        asked.append(re.search(r"8000(/\w+)", line)[1])
    assert {"/predict", "/embed", "/similar", "/explain", "/v2"} <= set(asked)
