"""What a person takes home: bundles, graphs, reports, labels."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from lamplighter.errors import LamplighterError, OutputError, WorkspaceError
from lamplighter.files.naming import clean_name, shown
from lamplighter.files.writing import written_new
from lamplighter.saving.export import export
from lamplighter.studio.calls import Fields, RequestError, call
from lamplighter.studio.classifiers import classifiers, known_runs, run_of
from lamplighter.studio.reports import make_report, measured_split, write_splits

if TYPE_CHECKING:
    from lamplighter.models.classifier import Classifier
    from lamplighter.studio.jobs import Job
    from lamplighter.studio.runs import Run
    from lamplighter.studio.studio import Studio

_ENDINGS = {"bundle": ".lamp", "onnx": ".onnx", "report": ".html", "labels": ".csv"}
_TYPES = {"bundle": "application/zip", "onnx": "application/octet-stream",
          "report": "text/html; charset=utf-8", "labels": "text/csv; charset=utf-8"}  # fmt: skip
_LONGEST = 100  # characters of a name of a file


def offers(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return what there is to take, with the commands that make the same."""
    runs = known_runs(studio)
    chosen = run_of(studio, fields.text("run", "")) if runs else None
    source = studio.project.source if studio.is_open else None
    made = [] if chosen is None else _of_run(studio, chosen)
    labels = [] if source is None else [_of_labels(source, _name(studio))]
    return {
        "runs": [{"run": run.id, "name": run.name, "made": run.notes.get("made")} for run in runs],
        "run": None if chosen is None else chosen.id,
        "folder": str(Path.home() if source is None else source.absolute().parent),
        "report": chosen is not None and _reports(studio).get(_key(chosen)) is not None,
        "offers": [*made, *labels],
    }


def _of_run(studio: Studio, run: Run) -> list[dict[str, str]]:
    """Return the terminal's and Python's words for what a training gives."""
    name, bundle = _name(studio, run), str(run.bundle)
    loaded = f"classifier = load({bundle!r})\n"
    return [
        {
            "what": "bundle",
            "file": f"{name}.lamp",
            "terminal": f"cp {_word(bundle)} {_word(f'{name}.lamp')}\n"
            f"lamplighter predict {_word(f'{name}.lamp')} photo.jpg",
            "python": f"from lamplighter import load, predict, save\n\n{loaded}"
            f"save(classifier, {f'{name}.lamp'!r})\nprint(predict(classifier, ['photo.jpg'])[0])",
        },
        {
            "what": "onnx",
            "file": f"{name}.onnx",
            "terminal": f"lamplighter export {_word(bundle)} --format onnx "
            f"--out {_word(f'{name}.onnx')}",
            "python": f"from lamplighter import export, load\n\n{loaded}"
            f"export(classifier, {f'{name}.onnx'!r}, 'onnx')",
        },
        {"what": "report", "file": f"{name}.html", **_report_words(studio, run, name, loaded)},
    ]


def _report_words(studio: Studio, run: Run, name: str, loaded: str) -> dict[str, str]:
    page, split = f"{name}.html", "test"
    if _of_digits(run):
        data, read = "mnist", "images = ImageData.mnist()\n"
        names = "ImageData, evaluate, load, report_page"
    else:
        try:
            data = str(write_splits(run, studio.project.workspace.root))
            split = measured_split(run)
        except LamplighterError as error:
            return {"terminal": "", "python": "", "why_not": str(error)}
        names = "evaluate, find_files, load, load_images, report_page"
        read = (
            f"files = find_files({data!r}).split({split!r})\n"
            "images = load_images(files, classifier.preprocessing)\n"
        )
    return {
        "terminal": f"lamplighter evaluate {_word(str(run.bundle))} {_word(data)} "
        f"--split {split} --page {_word(page)}",
        "python": f"from lamplighter import {names}\n\n{loaded}{read}"
        f"report = evaluate(classifier, images, {split!r})\n"
        "page = report_page(classifier, [report], images)\n"
        f"open({page!r}, 'w', encoding='utf-8').write(page)",
    }


def _of_labels(source: Path, name: str) -> dict[str, str]:
    folder, file = str(source.absolute()), f"{name}.csv"
    return {
        "what": "labels",
        "file": file,
        "terminal": f"lamplighter labels {_word(folder)} apply {_word(file)}",
        "python": "from lamplighter import Workspace\n\n"
        f"with Workspace.open({folder!r}) as workspace:\n    workspace.apply({file!r})",
    }


def report(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Start the job that makes the report of a training."""
    run = run_of(studio, fields.text("run", ""))
    classifier, name = classifiers(studio).load(run.bundle), _name(studio, run)
    root = None if _of_digits(run) else studio.project.workspace.root
    made = _reports(studio)

    def work(job: Job) -> dict[str, str]:
        made[_key(run)] = make_report(run, classifier, root, name, job)
        return {"run": run.id}

    return studio.jobs.start("report", work).to_dict()


def download(studio: Studio, fields: Fields) -> Response:
    """Return one of the things that can be taken, as a file with its name."""
    what = _what(fields)
    run = None if what == "labels" else run_of(studio, fields.text("run", ""))
    name = f"{_name(studio, run)}{_ENDINGS[what]}"
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    headers = {
        "content-disposition": f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''"
        f"{quote(name)}"
    }
    if what == "bundle" and run is not None:
        classifiers(studio).load(run.bundle)  # what is damaged is not handed on
        return FileResponse(run.bundle, media_type=_TYPES[what], headers=headers)
    with tempfile.TemporaryDirectory(prefix="lamplighter-studio-") as folder:
        file = Path(folder) / f"made{_ENDINGS[what]}"
        _write(studio, fields, what, file)
        return Response(file.read_bytes(), media_type=_TYPES[what], headers=headers)


def save(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Write one of the things that can be taken into a folder; nothing is replaced."""
    what = _what(fields)
    folder = Path(fields.text("folder").strip()).expanduser()
    if not folder.is_absolute():
        raise OutputError(
            f"the whole path of a folder is needed, such as {Path.home()}, received "
            f"{shown(folder) if str(folder) != '.' else 'none'}."
        )
    name = clean_name(fields.text("name")).strip()
    if not name or "/" in name or "\\" in name or name.startswith(".") or len(name) > _LONGEST:
        raise OutputError(
            f"the file needs a name without slashes, of at most {_LONGEST} characters, received "
            f"{shown(name) or 'none'}."
        )
    if not name.lower().endswith(_ENDINGS[what]):
        name += _ENDINGS[what]
    path = folder / name
    if path.exists():
        raise OutputError(f"{shown(path)} is there already; choose another name.")
    _write(studio, fields, what, path)
    return {"path": str(path)}


def _write(studio: Studio, fields: Fields, what: str, path: Path) -> None:
    """Write what is asked for to `path`, which is not there yet."""
    if what == "labels":
        studio.project.workspace.apply(path)
        return
    run = run_of(studio, fields.text("run", ""))
    classifier: Classifier = classifiers(studio).load(run.bundle)
    if what == "onnx":
        export(classifier, path, "onnx")
        return
    if what == "bundle":
        content = run.bundle.read_bytes()
    else:
        page = _reports(studio).get(_key(run))
        if page is None:
            raise WorkspaceError("the report is not made yet; make it first.")
        content = page.encode()
    with written_new(path) as file:
        file.write(content)


def _what(fields: Fields) -> str:
    what = fields.text("what")
    if what not in _ENDINGS:
        raise RequestError(f"'what' must be {', '.join(_ENDINGS)}, received {what!r}.")
    return what


def _reports(studio: Studio) -> dict[tuple[str, int], str]:
    """Return the reports that were made, by the training and when its bundle was written."""
    return studio.kept("reports", dict)


def _key(run: Run) -> tuple[str, int]:
    return run.id, run.bundle.stat().st_mtime_ns if run.bundle.is_file() else 0


def _of_digits(run: Run) -> bool:
    return run.notes.get("kind") == "digits"


def _name(studio: Studio, run: Run | None = None) -> str:
    """Return what files are called: the name of the folder that is open, fit for any system."""
    if run is not None and _of_digits(run):
        return "digits"
    kept = "".join(
        letter if letter.isalnum() or letter in " -_.()" else "_" for letter in studio.project.name
    )
    return kept.strip(" .")[:_LONGEST] or "photos"


def _word(text: str) -> str:
    return shlex.quote(text)


routes = [
    Route("/api/take-away/offers", call(offers)),
    Route("/api/take-away/report", call(report), methods=["POST"]),
    Route("/api/take-away/download", call(download)),
    Route("/api/take-away/save", call(save), methods=["POST"]),
]
