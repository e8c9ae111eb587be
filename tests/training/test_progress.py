from __future__ import annotations

import io
import os
import pty
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lamplighter.errors import NonFiniteLossError
from lamplighter.training import progress as module
from lamplighter.training.callbacks import on_epoch_end
from lamplighter.training.history import epoch_line
from lamplighter.training.progress import NotebookBar, TerminalBar, progress
from tests.training.conftest import images_and_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lamplighter.training.trial import Trial


class Terminal:
    """A pseudo-terminal of 80 columns as stderr."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "80")
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._parts: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._master, 4096)
            except OSError:  # the other end was closed
                return
            if not part:
                return
            self._parts.append(part)

    def close(self) -> str:
        """Return all that was written."""
        if not self.stream.closed:
            self.stream.close()
            self._reader.join()
            os.close(self._master)
        return b"".join(self._parts).decode()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Terminal]]:
    """Make stderr a terminal, from the call on: pytest sets stderr anew before a test."""
    made: list[Terminal] = []

    def open_() -> Terminal:
        made.append(Terminal(monkeypatch))
        monkeypatch.setattr(sys, "stderr", made[-1].stream)
        monkeypatch.setattr(module, "_TERMINAL_INTERVAL", 0.0)
        return made[-1]

    yield open_
    for one in made:
        one.close()


def _screen(written: str) -> list[str]:
    """What stands on the screen at the end, by the control sequences that rich uses."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif re.fullmatch(r"\x1b\[\d*A", part):
            row -= int(part[2:-1] or 1)
        elif part[0] not in "\x1b\r":
            lines[row] += part
    return [line for line in lines if line.strip()]


def _expected(trial: Trial) -> list[str]:
    epochs = len(trial.history)
    return [epoch_line(epoch, epochs, row) for epoch, row in enumerate(trial.history)]


def test_terminal_shows_a_bar_and_keeps_a_line_for_each_epoch(
    make_trial: Callable[..., Trial],
    terminal: Callable[[], Terminal],
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = terminal()
    trial = make_trial(verbose=2)
    trial.run(2)
    trial.evaluate()
    trial.with_test_data(torch.zeros(4, 1, 6, 6), batch_size=2).predict()
    assert capsys.readouterr().out == ""
    written = screen.close()
    assert _screen(written) == [line.split(", test_")[0] for line in _expected(trial)]
    plain = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", written)
    assert re.search(r"epoch 1/2 \S+ +3/5 0:00:00 loss \d\.\d{4}, acc", plain)
    for word in ("validating", "evaluating", "predicting"):
        assert re.search(rf"{word} \S+ +2/2", plain)
    assert max(map(len, re.split(r"[\r\n]+", plain))) <= 80
    assert written.endswith("\x1b[?25h") or "\x1b[?25l" not in written.rsplit("\x1b[?25h", 1)[1]


def test_terminal_is_left_in_order_when_training_fails(
    make_trial: Callable[..., Trial], terminal: Callable[[], Terminal]
) -> None:
    screen = terminal()
    with pytest.raises(NonFiniteLossError):
        make_trial(verbose=2, lr=float("inf")).run(1)
    written = screen.close()
    assert _screen(written) == []
    assert "\x1b[?25l" not in written.rsplit("\x1b[?25h", 1)[1]  # the cursor is shown


def test_what_callbacks_print_to_a_pipe_stays_there(
    make_trial: Callable[..., Trial],
    terminal: Callable[[], Terminal],
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = terminal()
    make_trial(on_epoch_end(lambda _: sys.stdout.write("hello\n")), verbose=2).run(2)
    assert capsys.readouterr().out == "hello\nhello\n"
    assert "hello" not in screen.close()


def test_console_of_rich_is_left_alone(
    make_trial: Callable[..., Trial], terminal: Callable[[], Terminal]
) -> None:
    import rich

    terminal()
    before = vars(rich.get_console()).copy()
    make_trial(verbose=2).run(1)
    assert vars(rich.get_console()) == before
    assert not rich.get_console().stderr


def test_batches_without_a_number(
    make_trial: Callable[..., Trial], terminal: Callable[[], Terminal]
) -> None:
    screen = terminal()
    trial = make_trial(verbose=2, val=False)
    trial.with_train_generator(batch for batch in [images_and_labels(8)] * 3)
    trial.run(1)
    assert _screen(screen.close()) == _expected(trial)


@pytest.mark.parametrize("verbose", [0, 2])
def test_silent_where_it_is_piped(
    make_trial: Callable[..., Trial], capfd: pytest.CaptureFixture[str], verbose: int
) -> None:
    trial = make_trial(verbose=verbose)
    trial.run(2)
    trial.evaluate()
    assert capfd.readouterr() == ("", "")


def test_one_line_for_each_epoch(
    make_trial: Callable[..., Trial], capfd: pytest.CaptureFixture[str]
) -> None:
    trial = make_trial(verbose=1)
    trial.run(2)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == _expected(trial)
    assert err.startswith(f"epoch 1/2: loss {trial.history[0]['loss']:.4f}, acc ")
    assert f"val_acc {trial.history[1]['val_acc']:.4f}" in err
    trial.replay(verbose=1)
    assert capfd.readouterr() == ("", err)


def test_notebook_shows_lines_in_one_place(
    make_trial: Callable[..., Trial],
    notebook: list[tuple[str, str, dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, "_NOTEBOOK_INTERVAL", 0.0)
    trial = make_trial(verbose=2)
    trial.run(2)
    assert capfd.readouterr() == ("", "")
    assert [act for act, _, _ in notebook] == ["display"] + ["update"] * (len(notebook) - 1)
    assert len({place for _, place, _ in notebook}) == 1
    texts = [content["text/plain"] for _, _, content in notebook]
    assert texts[-1] == "\n".join(_expected(trial))
    assert re.match(r"epoch 1/2: batch 1/5, loss \d\.\d{4}, acc", texts[0])
    assert any(text.startswith(_expected(trial)[0] + "\nepoch 2/2: batch") for text in texts)
    assert any(text.endswith("validating: batch 2/2") for text in texts)


def test_short_pass_in_a_notebook_leaves_nothing(
    make_trial: Callable[..., Trial], notebook: list[tuple[str, str, dict[str, str]]]
) -> None:
    make_trial(verbose=2).evaluate()
    assert [content["text/plain"] for _, _, content in notebook if content["text/plain"]] == []


def test_a_long_evaluation_in_a_notebook_leaves_nothing(
    make_trial: Callable[..., Trial],
    notebook: list[tuple[str, str, dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_NOTEBOOK_INTERVAL", 0.0)
    make_trial(verbose=2).evaluate()
    assert notebook[0][2]["text/plain"].startswith("evaluating: batch")
    assert notebook[-1][2] == {"text/plain": "", "text/html": ""}  # which shows no empty line


def test_what_is_chosen_where(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    def kinds(verbose: int) -> list[Any]:
        bars, lines = progress(verbose)
        return [type(bar) for bar in bars] + [type(line).__name__ for line in lines]

    assert [kinds(verbose) for verbose in (0, 1, 2)] == [[], ["EpochLines"], []]
    monkeypatch.setattr(sys, "stderr", Screen())
    assert kinds(2) == [TerminalBar, "EpochLines"]
    assert kinds(0) == []
    request.getfixturevalue("notebook")
    assert kinds(2) == [NotebookBar, "EpochLines"]


def test_bar_that_was_disabled_draws_nothing(
    make_trial: Callable[..., Trial],
    terminal: Callable[[], Terminal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal()
    monkeypatch.setattr(TerminalBar, "enable", TerminalBar.disable)
    bar = TerminalBar()
    bar.disable()  # as Lightning does in all processes but the first
    make_trial(bar, verbose=0).run(1)
    assert screen.close() == ""
