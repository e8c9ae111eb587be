"""`lamplighter page`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_a_page_is_written_beside_its_bundle_and_never_over_another_file(run, bundle):
    written = run("page", bundle)
    page = bundle.with_suffix(".html")
    assert (written.code, written.err) == (0, "")
    size = f"{page.stat().st_size / 1e6:.1f} MB"
    assert written.out == f"wrote {page} ({size}); open it in a browser\n"
    again = run("page", bundle)
    assert again.code == 1
    assert "already exists: choose another --out, or overwrite it with --force" in again.err
    assert run("page", bundle, "--force").code == 0


def test_needs_no_torch(bundle):
    hidden = Path(__file__).parents[1] / "torchless"
    source = Path(__file__).parents[2] / "src"
    outcome = subprocess.run(
        [sys.executable, "-m", "lamplighter", "page", str(bundle)],
        env={**os.environ, "PYTHONPATH": f"{hidden}{os.pathsep}{source}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr


def test_the_texts_are_printed_to_be_translated(run, bundle, tmp_path):
    printed = run("page", bundle, "--print-texts")
    assert not bundle.with_suffix(".html").exists()
    words = json.loads(printed.out)
    assert words["lang"] == "en"
    own = tmp_path / "de.json"
    own.write_text(json.dumps(words | {"lang": "de", "choose": "Bilder wählen"}), "utf-8")
    assert run("page", bundle, "--texts", own, "--name", "Ziffern").code == 0
    text = bundle.with_suffix(".html").read_text("utf-8")
    assert "Bilder wählen" in text
    assert "<title>Ziffern</title>" in text


def test_wrong_texts_and_a_missing_bundle_are_told_in_one_line(run, bundle, tmp_path):
    own = tmp_path / "de.json"
    own.write_text('{"chose": "Wähle"}')
    wrong = run("page", bundle, "--texts", own)
    assert wrong.code == 1
    assert "there is no text 'chose'; did you mean 'choose'" in wrong.err
    assert not bundle.with_suffix(".html").exists()
    missing = run("page", tmp_path / "none.lamp")
    assert missing.code == 1
    assert len(missing.err.splitlines()) == 1
