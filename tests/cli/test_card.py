"""`lamplighter card` as a user meets it."""

from __future__ import annotations

from lamplighter import model_card


def test_the_card_on_stdout(run, trained):
    outcome = run("card", trained)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == model_card(trained)


def test_the_card_in_a_file(run, trained, tmp_path):
    out = tmp_path / "README.md"
    outcome = run("card", trained, "--out", out, "--license", "mit")
    assert (outcome.code, outcome.out) == (0, f"wrote {out}\n")
    text = out.read_text()
    assert text == model_card(trained, license="mit")
    out.write_text("mine")
    assert f"{out} already exists" in run("card", trained, "--out", out).line
    assert out.read_text() == "mine"
    assert run("card", trained, "--out", out, "--force").code == 0


def test_what_is_wrong_is_told(run, trained, tmp_path):
    for arguments, said in (
        (("--out", tmp_path / "card.html"), "--out must be a file ending in .md"),
        (("--license", "my own"), "license must be a name"),
    ):
        outcome = run("card", trained, *arguments)
        assert (outcome.code, outcome.out) == (1, "")
        assert said in outcome.line
    assert "no such file" in run("card", tmp_path / "absent.lamp").line
    assert not list(tmp_path.glob("card.*"))
