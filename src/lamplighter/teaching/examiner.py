"""The clean process that hidden tests run in: `python -m lamplighter.teaching.examiner`.

It has nothing of the learner's. What a test wants to know it asks through `learner`, which goes
through the grader to the learner's kernel, and comes back as plain data.
"""

from __future__ import annotations

import contextlib
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NoReturn

from lamplighter.teaching.serialization import LIMIT, NotPlainError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    Answerer = Callable[[str], dict[str, Any]]

_HEADER = struct.Struct("=Q")
_FRAME = 4 * LIMIT  # bytes: a value, as text within text
_LONGEST = 1000  # characters of feedback


class Learner:
    """What a hidden test knows of the learner's work.

    Attributes:
        source: the text of the learner's cell.
        printed: what the cell printed.
    """

    def __init__(self, answerer: Answerer, *, source: str, printed: str) -> None:
        self._answerer = answerer
        self.source, self.printed = source, printed

    def __call__(self, code: str, **values: object) -> Any:
        """Return what `code` gives where the learner's cells ran.

        Args:
            code: an expression, or lines of which the last is one.
            values: plain data that `code` sees under these names.

        Raises:
            AssertionError: it raised, or gave something else than plain data.
        """
        reply = self._ask(code, values)
        if reply.get("failed"):
            raise AssertionError(f"running your answer: it {reply['failed']}")
        if "value" not in reply:
            error, message = reply["error"], reply["message"]
            if error:
                raise AssertionError(f"running your answer raised {error}: {message}")
            raise AssertionError(f"expected plain data from your answer, saw {message}")
        try:
            return decode(reply["value"])
        except NotPlainError as error:
            raise AssertionError(f"expected plain data from your answer, saw {error}") from None

    def error(self, code: str, **values: object) -> str | None:
        """Return the name of the exception that `code` raises there, or None."""
        return str(self._ask(code, values).get("error") or "") or None

    def _ask(self, code: str, values: dict[str, object]) -> dict[str, Any]:
        reply = self._answerer(encode((code, values)))
        parts = {key: reply.get(key) for key in ("value", "error", "message")}
        if reply.get("failed"):
            return {"failed": str(reply["failed"])}
        if isinstance(parts["value"], str):
            return {"value": parts["value"]}
        return {"error": str(parts["error"] or ""), "message": str(parts["message"] or "")[:500]}


@dataclass(frozen=True)
class Verdict:
    """What came of a tests cell; `feedback` is empty where it passed."""

    passed: bool
    feedback: str = ""


class Examiner:
    """The process of hidden tests, seen from the grader; use as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._frames: queue.Queue[bytes | None] = queue.Queue()

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(
        self, code: str, answerer: Answerer, *, source: str, printed: str, seconds: float
    ) -> Verdict:
        """Run the hidden tests `code`; `answerer` passes questions on to the learner's kernel.

        Time that the answers take does not count; they have a limit of their own.
        """
        if self._process is None:
            self._start()
        try:
            self._send({"code": code, "source": source, "printed": printed})
        except NotPlainError as error:
            return Verdict(False, f"your answer cannot be tested: {error}")
        deadline = time.monotonic() + seconds
        while True:
            frame = self._next(deadline)
            if frame is None:
                self._stop()
                return Verdict(False, "the tests did not finish with your answer")
            message = decode(frame.decode(), _FRAME)
            if "question" not in message:
                return Verdict(message["passed"], message["feedback"])
            asked = time.monotonic()
            reply = answerer(message["question"])
            try:
                self._send(reply)
            except NotPlainError as error:  # the learner's process may answer anything at all
                self._send({"failed": f"gave {error}"})
            deadline += time.monotonic() - asked

    def _start(self) -> None:
        self._frames = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lamplighter.teaching.examiner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        arguments = (self._process.stdout, self._frames)
        threading.Thread(target=_collect, args=arguments, daemon=True).start()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()

    def _send(self, message: dict[str, Any]) -> None:
        """Send a message.

        Raises:
            NotPlainError: it is too large or too deep; nothing was sent.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end shows when the answer is read
            _write(self._process.stdin, encode(message, _FRAME).encode())

    def _next(self, deadline: float) -> bytes | None:
        try:
            return self._frames.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            return None


def _collect(stream: IO[bytes], frames: queue.Queue[bytes | None]) -> None:
    frame: bytes | None = b""
    while frame is not None:
        try:
            frame = _read(stream)
        except (OSError, ValueError):
            frame = None
        frames.put(frame)


def _write(stream: IO[bytes], frame: bytes) -> None:
    stream.write(_HEADER.pack(len(frame)) + frame)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes | None:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (size,) = _HEADER.unpack(header)
    if size > _FRAME:
        return None
    frame = stream.read(size)
    return frame if len(frame) == size else None


def examine(code: str, learner: Learner) -> Verdict:
    """Run hidden tests in a fresh namespace; the first that fails gives the feedback."""
    space = {"__name__": "hidden_tests", "learner": learner}
    try:
        exec(compile(code, "<hidden tests>", "exec"), space)
    except AssertionError as error:
        return Verdict(False, (str(error) or "a hidden test failed")[:_LONGEST])
    except Exception as error:  # an answer of another kind than the test can take
        kind = type(error).__name__
        return Verdict(False, f"your answer cannot be tested: {kind}: {error}"[:_LONGEST])
    return Verdict(True)


def main() -> NoReturn:
    """Serve tests, one after the other, until the input ends."""
    from lamplighter.teaching.linux import die_with_parent

    die_with_parent()
    with os.fdopen(os.dup(1), "wb") as answers:
        # What tests print goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        questions = sys.stdin.buffer

        def ask(question: str) -> dict[str, Any]:
            _write(answers, encode({"question": question}, _FRAME).encode())
            frame = _read(questions)
            if frame is None:
                os._exit(1)
            reply: dict[str, Any] = decode(frame.decode(), _FRAME)
            return reply

        while (frame := _read(questions)) is not None:
            task = decode(frame.decode(), _FRAME)
            learner = Learner(ask, source=task["source"], printed=task["printed"])
            verdict = examine(task["code"], learner)
            result = {"passed": verdict.passed, "feedback": verdict.feedback}
            _write(answers, encode(result).encode())
    raise SystemExit(0)


if __name__ == "__main__":
    main()
