"""The Jupyter kernel that a learner's cells run in: `python -m lamplighter.teaching.kernel`.

Besides running cells it answers questions of the grader, which come as cells that begin with
`QUESTION` and are answered with plain data in the reply. Nothing that it says is trusted.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from pathlib import Path
from typing import Any

PRINTED = 1_000_000  # characters that a cell may print
QUESTION = (
    "# lamplighter: "  # then "ask", "before", "after" or "back"; what to ask on the next line
)
_WATCHED = (
    "builtins",
    "torch",
    "torch.nn",
    "torch.nn.functional",
    "torch.Tensor",
    "torch.nn.Module",
    "numpy",
    "lamplighter",
    "lamplighter.teaching.serialization",
)
_WORKERS = (
    "num_workers",
    "prefetch_factor",
    "persistent_workers",
    "multiprocessing_context",
    "timeout",
    "worker_init_fn",
)
_LONGEST = 500  # characters of an error's message


def answer(names: dict[str, Any], text: str) -> dict[str, Any]:
    """Return what the code in `text` gives, seen from a copy of `names`.

    Returns:
        {"value": plain data as text}, or {"error": name, "message": ...}.
    """
    from lamplighter.teaching.serialization import NotPlainError, decode, encode

    try:
        code, values = decode(text)
        tree = ast.parse(code)
        last = tree.body.pop()
        if not isinstance(last, ast.Expr):
            raise SyntaxError("the last line of a question must be an expression")
        space = {**names, **values}
        exec(compile(tree, "<question>", "exec"), space)
        value = eval(compile(ast.Expression(last.value), "<question>", "eval"), space)
        return {"value": encode(value)}
    except NotPlainError as error:
        return {"error": "", "message": str(error)}
    except BaseException as error:  # SystemExit and an interrupt too: the kernel goes on
        return {"error": type(error).__name__, "message": str(error)[:_LONGEST]}


def watched() -> dict[str, dict[str, Any]]:
    """Return what the names of the modules that tests rest on stand for now."""
    spaces = {}
    for name in _WATCHED:
        owner: Any = sys.modules.get(name)
        if owner is None and "." in name:
            parent, _, attribute = name.rpartition(".")
            owner = getattr(sys.modules.get(parent), attribute, None)
        if owner is not None:
            spaces[name] = dict(vars(owner))
    return spaces


def changed(before: dict[str, dict[str, Any]]) -> list[str]:
    """Return which of the names in `before` stand for something else now, as `torch.allclose`."""
    now = watched()
    return [
        f"{space}.{name}"
        for space, names in before.items()
        for name, value in names.items()
        if callable(value) and not _same(space, name, value, now.get(space, {}).get(name))
    ]


def _same(space: str, name: str, before: Any, now: Any) -> bool:
    """Whether a name means what it did; libraries wrap functions of their own when in use."""
    if now is before:
        return True
    home = str(getattr(now, "__module__", "")).partition(".")[0]
    code = getattr(now, "__code__", None)
    own = code is None or not Path(code.co_filename).name[:-3].isdigit()  # not of a cell
    return own and home == space.partition(".")[0] and getattr(now, "__name__", "") == name


def put_back(names: dict[str, Any], before: dict[str, Any]) -> None:
    """Let `names` stand for what they stood for in `before`, and remove new ones."""
    for name in names.keys() - before.keys():
        del names[name]
    names.update(before)


def load_without_workers() -> None:
    """Let torch's loaders load in this process: workers need memory that others can see."""
    module: Any = sys.modules.get("torch.utils.data.dataloader")
    loader = getattr(module, "DataLoader", None)
    if loader is None or hasattr(loader, "_lamplighter"):
        return
    begin, loader._lamplighter = loader.__init__, True
    signature = inspect.signature(begin)

    def begin_alone(*given: Any, **named: Any) -> None:
        arguments = signature.bind(*given, **named).arguments
        for name in _WORKERS:
            arguments.pop(name, None)
        first, dataset = (arguments.pop(name) for name in ("self", "dataset"))
        begin(first, dataset, **arguments)

    loader.__init__ = begin_alone


def _end(code: object = None) -> None:
    raise SystemExit(code)


def _out_of_memory(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> None:
    from lamplighter.teaching.confinement import keep_reserve

    keep_reserve(False)


def main(arguments: list[str]) -> None:
    """Confine this process, then serve as a kernel.

    Args:
        arguments: the folder, the bytes of memory, folders that may be read (JSON), then Jupyter's.
    """
    from lamplighter.teaching.confinement import confine, keep_reserve, refused
    from lamplighter.teaching.linux import die_with_parent

    die_with_parent()
    folder, memory, readable, *rest = arguments
    # Before anything starts a thread: the limits hold for this one and what comes from it.
    confine(Path(folder), int(memory), extra=[Path(place) for place in json.loads(readable)])
    from ipykernel import iostream, kernelapp
    from ipykernel.ipkernel import IPythonKernel

    class Output(iostream.IOPubThread):  # type: ignore[misc]
        """Takes no output from other processes: that would need a socket of the network."""

        def __init__(self, socket: Any, pipe: bool = False, **more: Any) -> None:
            super().__init__(socket, pipe=False, **more)

    class Printed(iostream.OutStream):  # type: ignore[misc]
        """A stream that takes only so much from one cell."""

        size = 0

        def write(self, string: str) -> int:
            self.size += len(string)
            if self.size > PRINTED:
                raise RuntimeError(f"the cell printed more than {PRINTED:,} characters")
            written: int = super().write(string)
            return written

    # Where the app looks for them.
    kernelapp.IOPubThread, iostream.OutStream = Output, Printed

    class LabKernel(IPythonKernel):  # type: ignore[misc]
        """A kernel that answers the grader's questions."""

        _before: dict[str, dict[str, Any]]
        _names: dict[str, Any]

        async def do_execute(self, code: str, silent: bool, *rest: Any, **more: Any) -> Any:
            streams[0].size = streams[1].size = 0
            load_without_workers()
            if not code.startswith(QUESTION):
                return await super().do_execute(code, silent, *rest, **more)
            reply = {"status": "ok", "execution_count": 0, "payload": [], "user_expressions": {}}
            return {**reply, "lamplighter": self._answer(code)}

        def _answer(self, code: str) -> Any:
            kind, _, text = code.removeprefix(QUESTION).partition("\n")
            try:
                if kind == "ask":
                    return answer(self.shell.user_ns, text)
                if kind == "before":
                    keep_reserve(True)
                    self._before, self._names = watched(), dict(self.shell.user_ns)
                    refused.clear()
                    return {}
                if kind == "back":
                    put_back(self.shell.user_ns, self._names)
                    return {}
                return {"changed": changed(self._before)[:20], "refused": list(refused)}
            except BaseException as error:  # whatever the learner has made of this process
                return {"error": type(error).__name__, "message": "", "changed": ["builtins"]}

    app = kernelapp.IPKernelApp.instance(kernel_class=LabKernel)
    app.initialize(["--HistoryManager.enabled=False", *rest])
    # IPython's own would stop the kernel later, in the midst of another cell.
    app.shell.user_ns.update({"exit": _end, "quit": _end})
    streams: tuple[Any, Any] = (sys.stdout, sys.stderr)
    app.shell.set_custom_exc((MemoryError,), _out_of_memory)
    app.start()


if __name__ == "__main__":
    main(sys.argv[1:])
