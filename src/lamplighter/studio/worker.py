"""A training in a process of its own, so that the studio answers meanwhile.

The first line on stdin says what is wanted; a line "stop" may follow. What happens is told on
stdout, a JSON object in each line, the last of which is "done", "stopped" or "failed". When stdin
ends, whoever asked is gone, and so is the training at once.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np

from lamplighter.datasets.files import ImageFiles, SetAside
from lamplighter.datasets.image_data import ImageData
from lamplighter.errors import LamplighterError, LamplighterWarning
from lamplighter.saving.bundle import save
from lamplighter.studio.held_out import HeldOut, write_answers
from lamplighter.studio.runs import BUNDLE, write_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lamplighter.datasets.files import Progress
    from lamplighter.training.view import TrialView
    from lamplighter.transfer.strategies import Rung

_OFTEN = 0.2  # seconds between two events about the same progress
_NICE = 5
_GONE = 3  # how the process ends when nobody listens any more


def main() -> NoReturn:
    """Do the one training that is asked for, and end the process."""
    # Where the studio was started in the background, an interrupt would be ignored here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(os, "nice"):
        os.nice(_NICE)  # the page goes first
    teller = Teller(_own_stdout())
    stop = Stop()
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_listen, args=(stop,), daemon=True).start()
    warnings.showwarning = teller.warn  # type: ignore[assignment]  # it needs two of its six
    try:
        _KINDS[request["kind"]](request, teller, stop)
        teller.tell("done")
    except KeyboardInterrupt:
        teller.tell("stopped")
    except LamplighterError as error:
        teller.tell("failed", error=str(error))
    except MemoryError:
        teller.tell("failed", error="there is not enough memory; close other programs.")
    except Exception as error:
        traceback.print_exc()
        teller.tell("failed", error=f"unexpected: {type(error).__name__}: {error}")
    sys.stderr.flush()
    os._exit(0)  # stdin is waited for by a thread, without which Python does not end in peace


class Teller:
    """Tells what happens, from any thread.

    Args:
        out: where each event becomes a line.
    """

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._turn = threading.Lock()
        self._began = time.monotonic()
        self._told: dict[str, float] = {}

    def elapsed(self) -> float:
        """Return how many seconds the training takes so far."""
        return round(time.monotonic() - self._began, 3)

    def tell(self, kind: str, **values: Any) -> None:
        """Tell an event."""
        event = {"kind": kind, "at": self.elapsed(), **values}
        with self._turn:
            self._out.write(json.dumps(event) + "\n")
            self._out.flush()

    def tell_often(self, kind: str, *, last: bool = False, **values: Any) -> None:
        """Tell an event, unless one of its kind was told just now; the `last` one always."""
        now = time.monotonic()
        if last or now - self._told.get(kind, 0.0) >= _OFTEN:
            self._told[kind] = now
            self.tell(kind, **values)

    def warn(self, message: Warning | str, category: type[Warning], *_: Any) -> None:
        """Tell a warning that is meant for users; others go to the log."""
        if issubclass(category, LamplighterWarning):
            self.tell("say", line=str(message))
        else:
            sys.stderr.write(f"{category.__name__}: {message}\n")


class Stop:
    """Whether the training is to end early, and what is done about it."""

    def __init__(self) -> None:
        self.wanted = False
        self._act: Callable[[], None] = _interrupt

    def ask(self) -> None:
        """Have it end early."""
        self.wanted = True
        self._act()

    def only_note(self) -> None:
        """Interrupt nothing from here on: the training looks at `wanted` itself, or is done."""
        self._act = lambda: None


def _interrupt() -> None:
    """Interrupt the main thread as Ctrl-C does, even where it waits."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        importlib.import_module("_thread").interrupt_main()


def _listen(stop: Stop) -> None:
    for line in sys.stdin.buffer:
        if line.strip() == b"stop":
            stop.ask()
    os._exit(_GONE)


def _own_stdout() -> IO[str]:
    """Return stdout for events alone: whatever else is printed goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return out


class _Watch:
    """Tells each step of a climb."""

    verbose = 0

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def say(self, line: str) -> None:
        """Tell a line."""
        self._teller.tell("say", line=line)

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Progress | None]:
        """Tell how far a step is."""
        tell, began = self._teller.tell_often, self._teller.elapsed()
        tell("step", last=True, name=label, began=began, done=0, total=0)

        def told(done: int, total: int) -> None:
            tell("step", last=done == total, name=label, began=began, done=done, total=total)

        yield told
        tell("step", last=True, name="", began=began, done=0, total=0)  # what goes on is no step

    def rung_begun(self, name: str, *, refit: bool) -> None:
        """Tell which rung learns."""
        self._teller.tell("begun", rung=name, refit=refit)

    def epoch_done(self, epoch: int, epochs: int, metrics: Mapping[str, Any]) -> None:
        """Tell an epoch."""
        self._teller.tell("epoch", epoch=epoch + 1, epochs=epochs, values=_numbers(metrics))

    def rung_done(self, rung: Rung) -> None:
        """Tell a line of the table."""
        self._teller.tell("rung", rung=rung.to_dict())


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among metrics, those of a batch without their prefix."""
    found = {}
    for name, value in metrics.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
            found[name.removeprefix("running_")] = float(value)
    return found


def _climb(request: dict[str, Any], teller: Teller, stop: Stop) -> None:
    """Train on photos: climb the ladder."""
    from lamplighter.transfer.ladder import climb_ladder

    settings, began = request["settings"], time.monotonic()
    ladder = climb_ladder(
        _files(request["files"]),
        backbone=settings["backbone"],
        rungs=settings["methods"],
        budget=settings["minutes"],
        precision=settings["precision"],
        watch=_Watch(teller),
    )
    stop.only_note()
    teller.tell("step", name="saving", done=0, total=0)
    held_out = [
        HeldOut(ladder.files.split(report.split).paths, report)
        for report in (ladder.validation, *ladder.tests)
    ]
    folder = Path(request["folder"])
    save(ladder.classifier, folder / BUNDLE)
    write_answers(folder, held_out)
    trust = ladder.classifier.trust
    _finish(
        request,
        began,
        ladder=ladder.to_dict(),
        stopped=stop.wanted,
        threshold=None if trust is None else trust.threshold,
        counts={split: len(ladder.files.split(split)) for split in ladder.files.split_names},
    )


def _learn_digits(request: dict[str, Any], teller: Teller, stop: Stop) -> None:
    """Train a network on the embedded digits from scratch."""
    from lamplighter.evaluation.report import evaluate
    from lamplighter.training.callbacks import Callback
    from lamplighter.training.recipes import train

    stop.only_note()  # it ends with a whole epoch
    settings, began = request["settings"], time.monotonic()

    class Telling(Callback):
        def on_batch_end(self, view: TrialView) -> None:
            of = (view.batches or 0) * view.epochs
            values = _numbers(view.metrics)
            teller.tell_often("batch", step=view.step, of=of, epochs=view.epochs, values=values)
            if stop.wanted:
                view.stop()

        def on_epoch_end(self, view: TrialView) -> None:
            values = _numbers(view.metrics)
            teller.tell(
                "epoch", epoch=view.epoch + 1, epochs=view.epochs, step=view.step, values=values
            )

    teller.tell("step", name="reading", done=0, total=0)
    data = digits_to_learn()
    teller.tell("begun", rung=settings["recipe"], refit=False)
    classifier = train(
        data,
        recipe=settings["recipe"],
        epochs=settings["epochs"],
        callbacks=[Telling()],
        test=False,
        verbose=0,
    )
    teller.tell("step", name="testing", done=0, total=0)
    parts = [(split, evaluate(classifier, data, split)) for split in ("val", "test")]
    teller.tell("step", name="saving", done=0, total=0)
    folder = Path(request["folder"])
    save(classifier, folder / BUNDLE)
    write_answers(
        folder,
        [HeldOut(tuple(map(str, range(report.count))), report) for _, report in parts],
    )
    _finish(
        request,
        began,
        scores={split: report.summary() for split, report in parts},
        stopped=stop.wanted,
        threshold=None,
        counts={split: len(data[split]) for split in data.splits},
    )


def digits_to_learn() -> ImageData:
    """Return MNIST with a twelfth of its training images held out, to see by how learning goes."""
    return ImageData.mnist().hold_out(1 / 12)


def _finish(request: dict[str, Any], began: float, **notes: Any) -> None:
    """Write what makes a folder a run, last of all."""
    asked = {name: request[name] for name in ("name", "made", "kind", "settings", "data")}
    write_notes(Path(request["folder"]), {**asked, "seconds": time.monotonic() - began, **notes})


_KINDS = {"photos": _climb, "digits": _learn_digits}


def describe_files(files: ImageFiles) -> dict[str, Any]:
    """Return files as plain JSON types, for the request."""
    return {
        "name": files.name,
        "root": str(files.root),
        "paths": files.paths,
        "labels": files.labels.tolist(),
        "class_names": files.class_names,
        "splits": files.splits,
        "groups": files.groups,
        "set_aside": [[one.path, one.reason] for one in files.set_aside],
        "notes": files.notes,
    }


def _files(values: dict[str, Any]) -> ImageFiles:
    return ImageFiles(
        name=values["name"],
        root=Path(values["root"]),
        paths=tuple(values["paths"]),
        labels=np.array(values["labels"], dtype=np.int64),
        class_names=tuple(values["class_names"]),
        splits=tuple(values["splits"]),
        groups=tuple(values["groups"]),
        set_aside=tuple(SetAside(path, reason) for path, reason in values["set_aside"]),
        notes=tuple(values["notes"]),
    )


if __name__ == "__main__":
    main()
