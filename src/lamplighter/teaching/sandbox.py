"""A confined kernel in a temporary copy of a folder, and what the grader does with it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from lamplighter.errors import LabError
from lamplighter.teaching.cleanup import (
    MARK,
    PREFIX,
    copy_files,
    kill_marked,
    remove,
    temporary_folder,
)
from lamplighter.teaching.kernel import PRINTED, QUESTION

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY = 4 * 1024**3  # bytes of data that a kernel may hold

State = Literal["done", "raised", "too long", "too much output", "kernel died"]

_MESSAGE = 80 * 1024**2  # bytes of one message from the kernel; longer ones are dropped
_GRACE = 2.0  # seconds to answer to an interrupt, and to a question without work in it
_START = 60.0


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        error: for "raised": the name of the exception.
        message: for "raised": its message.
        printed: what it wrote to stdout, at most PRINTED characters.
        reply: the answer to a question.
    """

    state: State
    error: str = ""
    message: str = ""
    printed: str = ""
    reply: dict[str, Any] | None = None

    @property
    def feedback(self) -> str:
        """The state in words."""
        if self.state == "raised":
            return f"{self.error}: {self.message}".strip().rstrip(":")
        return {
            "done": "ran to its end",
            "too long": "did not end within its time limit",
            "too much output": f"printed more than {PRINTED:,} characters",
            "kernel died": "ended its own kernel (by exit, a crash, or too much memory)",
        }[self.state]


class Sandbox:
    """A confined kernel; use as a context manager.

    Its folder is a temporary copy; HOME, TMPDIR and the XDG folders lie in it. Nothing that the
    kernel starts outlives it. Each kernel has a folder of its own, out of the reach of those before
    it: this process, which nothing confines, opens and makes files there.
    """

    def __init__(
        self, folder: Path | None = None, *, memory: int = MEMORY, readable: Sequence[Path] = ()
    ) -> None:
        self._files, self._memory, self._readable = folder, memory, tuple(readable)
        self._token = secrets.token_hex(16)
        self._root: Path | None = None
        self._manager: Any = None
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, *, bare: bool = False) -> None:
        """Start the kernel, or a fresh one with fresh copies in the place of another.

        Args:
            bare: its folder is empty, now and from now on.

        Raises:
            LabError: it does not start, or the folder is too large to be copied.
        """
        self.close()
        if bare:
            self._files = None
        from jupyter_client.manager import KernelManager

        name = f"{PREFIX}{os.getpid()}-"
        root = self._root = Path(tempfile.mkdtemp(prefix=name, dir=temporary_folder())).resolve()
        copy_files(self._files, root / "lab")
        for name in ("home", "tmp", "run"):
            (root / name).mkdir()
        self._manager = KernelManager(
            connection_file=str(root / "run" / f"{secrets.token_hex(8)}.json"),
            transport="ipc" if os.name == "posix" else "tcp",
        )
        if os.name == "posix":
            # Jupyter removes these at the end: names that no file has, wherever `run` leads then.
            self._manager.ip = str(root / "run" / f"~{secrets.token_hex(1)}")
        command = [
            sys.executable,
            "-P",
            "-m",
            "lamplighter.teaching.kernel",
            str(root),
            str(self._memory),
            json.dumps([str(path) for path in self._readable]),
            "-f",
            "{connection_file}",
        ]
        self._manager.kernel_spec.argv = command
        with tempfile.TemporaryFile() as errors:  # which has no name that could be a link
            self._manager.start_kernel(
                cwd=str(root / "lab"), env=self._environment(root), stdout=errors, stderr=errors
            )
            self._client = self._manager.client()
            self._client.start_channels(hb=False, stdin=False)
            for channel in (self._client.shell_channel, self._client.iopub_channel):
                channel.socket.setsockopt(_zmq().MAXMSGSIZE, _MESSAGE)
            try:
                self._client.wait_for_ready(timeout=_START)
            except RuntimeError as error:
                errors.seek(0)
                told = errors.read().decode("utf-8", "replace")[-300:]
                raise LabError(f"the kernel for a lab does not start: {error} {told}") from error

    def run(self, code: str, seconds: float) -> Outcome:
        """Run a cell, for at most so many seconds; it is interrupted then, or killed."""
        return self._execute(code, seconds)

    def ask(self, kind: str, text: str, seconds: float) -> Outcome:
        """Ask the kernel a question: `ask` with an encoded one, `before`, `after`, `back`."""
        return self._execute(f"{QUESTION}{kind}\n{text}", seconds)

    @property
    def alive(self) -> bool:
        """Whether there is a kernel that runs."""
        return self._manager is not None and bool(self._manager.is_alive())

    def stop(self) -> None:
        """End the kernel and all that it has started."""
        if self._manager is not None:
            with contextlib.suppress(Exception):
                self._client.stop_channels()
            with contextlib.suppress(Exception):
                self._manager.shutdown_kernel(now=True)
        self._manager = self._client = None
        kill_marked(self._token)

    def close(self) -> None:
        """End the kernel and remove the folder."""
        self.stop()
        if self._root is not None:
            remove(self._root)
        self._root = None

    def _environment(self, root: Path) -> dict[str, str]:
        home, temporary = str(root / "home"), str(root / "tmp")
        kept = {
            key: value
            for key, value in os.environ.items()
            if key in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT") or key.endswith("_NUM_THREADS")
        }
        # Python imports from these before it is confined: none may mean the learner's folder.
        modules = [
            str(Path(place).resolve())
            for place in os.environ.get("PYTHONPATH", "").split(os.pathsep)
            if place
        ]
        folders = dict.fromkeys(("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"), home)
        folders |= dict.fromkeys(("TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR"), temporary)
        for name in ("CACHE", "CONFIG", "DATA", "STATE"):
            folders[f"XDG_{name}_HOME"] = str(root / "home" / name.lower())
        return {
            **kept,
            **folders,
            MARK: self._token,
            "PYTHONPATH": os.pathsep.join(modules),
            "MPLBACKEND": "agg",
            "PYTHONDONTWRITEBYTECODE": "1",
            "JOBLIB_MULTIPROCESSING": "0",
            "MPLCONFIGDIR": str(root / "home" / "matplotlib"),
            "IPYTHONDIR": str(root / "home" / "ipython"),
        }

    def _execute(self, code: str, seconds: float) -> Outcome:
        if not self.alive:
            return Outcome("kernel died")
        try:
            request = self._client.execute(code, store_history=True, allow_stdin=False)
            outcome = self._listen(request, time.monotonic() + seconds)
        except Exception:  # the learner's process may send anything at all
            outcome = Outcome("kernel died")
        if outcome.state == "too long" and self._interrupted(request):
            return outcome
        if outcome.state not in ("done", "raised"):
            self.stop()
        return outcome

    def _interrupted(self, request: str) -> bool:
        """Interrupt the cell of `request`; whether the kernel goes on."""
        try:
            self._manager.interrupt_kernel()
            return self._listen(request, time.monotonic() + _GRACE).state in ("done", "raised")
        except Exception:
            return False

    def _listen(self, request: str, deadline: float) -> Outcome:
        """Follow a cell until it has ended; nothing that it prints is kept beyond the limit."""
        printed: list[str] = []
        size, reply, idle = 0, None, False
        while reply is None or not idle:
            if time.monotonic() > deadline:
                # An answer without an end of the output: a message was too long to come through.
                return Outcome("too long" if reply is None else "too much output")
            message = self._message()
            if message is None:
                if not self.alive:
                    return Outcome("kernel died")
                if reply is not None:
                    deadline = min(deadline, time.monotonic() + _GRACE)
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "execute_reply":
                reply = content
            elif kind == "status":
                idle = content.get("execution_state") == "idle"
            elif kind != "execute_input":  # which repeats what was asked
                size += len(json.dumps(content, default=str))
                if size > 8 * PRINTED:
                    return Outcome("too much output")
                if kind == "stream" and content.get("name") == "stdout":
                    printed.append(str(content.get("text")))
        return _outcome(reply, "".join(printed))

    def _message(self) -> dict[str, Any] | None:
        """Return the next message of either channel, or None after a while."""
        poller = _zmq().Poller()
        channels = (self._client.iopub_channel, self._client.shell_channel)
        for channel in channels:
            poller.register(channel.socket, _zmq().POLLIN)
        ready = dict(poller.poll(100))
        for channel in channels:
            if channel.socket in ready:
                with contextlib.suppress(queue.Empty):
                    message: dict[str, Any] = channel.get_msg(timeout=0)
                    return message
        return None


def _outcome(reply: dict[str, Any], printed: str) -> Outcome:
    if reply.get("status") == "ok":
        return Outcome("done", printed=printed, reply=reply.get("lamplighter"))
    message = str(reply.get("evalue", ""))[:500].split("\n")[0]
    return Outcome("raised", str(reply.get("ename", "an error"))[:100], message, printed)


def _zmq() -> Any:
    import zmq

    return zmq
