"""`web_page`: a classifier as one HTML file that runs in the browser, from a disk, with no server.

The file holds the network, ONNX Runtime for the web (WebAssembly) and what prepares images: written
in JavaScript (`browser/`), so that a picture becomes the same pixels there as here. It fetches
nothing: its policy has the browser refuse any connection, and any script but its own two.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.evaluation.html_page import SHARED_STYLE, escaped
from lamplighter.files.writing import check_target, written_whole
from lamplighter.inference.runtime import OnnxRuntime
from lamplighter.models.classifier import check_classifier
from lamplighter.saving.parity import proven_graph
from lamplighter.saving.tracing import needs_training_packages
from lamplighter.webpage.card import card_of
from lamplighter.webpage.inlining import inlined
from lamplighter.webpage.texts import english

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

    from lamplighter.models.classifier import Classifier

_RUNTIME = "ort-wasm-simd-threaded.wasm.gz"  # as onnxruntime-web has it, packed with gzip
_RUNTIME_SCRIPT = "ort.wasm.bundle.min.mjs"
# How the script of onnxruntime-web ends; a script within a page cannot export.
_EXPORTS = re.compile(r"export\{([^}]*)\};?\s*(?://# sourceMappingURL=\S*\s*)?$")


def web_page(
    classifier: Classifier,
    path: str | Path,
    *,
    name: str | None = None,
    texts: Mapping[str, str] | None = None,
) -> Path:
    """Write a page that classifies in the browser, offline, as `classifier` does; return the path.

    Pictures are dropped on it, pasted, chosen, drawn or taken by the camera. Preprocessing,
    temperature and what is called unknown are those of the classifier, and a card says what it was
    trained on and how well it did. All is in the one file; a file at `path` is replaced.

    Args:
        classifier: what the page runs.
        path: the file to write, by custom NAME.html.
        name: what the page calls it; by default after the bundle, or else the network.
        texts: the words of the page by key, as `lamplighter.webpage.texts` has them.

    Raises:
        OutputError: the file cannot be written.
        ModelError: `classifier` is none.
        BundleError: its graph cannot be used.
        ExportError: it has no graph, and none can be made.
        ParityError: it has none, and the one that was made answers otherwise.
        MissingPackageError: it has no graph, and torch, which makes one, is not installed.
    """
    check_classifier(classifier, "web_page")
    check_target(path)
    graph = _graph(classifier)
    title = name or _name(classifier)
    with written_whole(path) as file:
        for part in _parts(classifier, graph, title, texts or english()):
            file.write(part.encode("utf-8"))
    return Path(path)


def _graph(classifier: Classifier) -> bytes:
    """Return the ONNX graph of a classifier: its own, or one made and proven now."""
    if classifier.graph is not None and classifier.joined_head is None:
        return classifier.graph
    with needs_training_packages("a page of a classifier without an ONNX graph"):
        return proven_graph(classifier)[0]


def _name(classifier: Classifier) -> str:
    if classifier.source is not None:
        return Path(classifier.source).stem
    return classifier.architecture.name if classifier.architecture else "classifier"


def _parts(
    classifier: Classifier, graph: bytes, title: str, texts: Mapping[str, str]
) -> Iterator[str]:
    """Yield the page, which holds megabytes, bit by bit."""
    scripts = [_runtime_script(), _page_script()]
    style = f"{SHARED_STYLE}{_text('page.css')}"
    yield (
        f'<!DOCTYPE html>\n<html lang="{escape(texts["lang"])}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts, style)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
    )
    yield Template(_text("page.html")).substitute(licenses=escape(_licenses()))
    # The words first, so that whoever translates them finds them.
    yield _table("texts", texts)
    yield _table("classifier", _description(classifier, graph, title))
    yield _block("network", gzip.compress(graph, 9, mtime=0))
    if classifier.trust is not None and classifier.trust.reference is not None:
        vectors = classifier.trust.reference.astype("<f2").tobytes()
        yield _block("reference", gzip.compress(vectors, 9, mtime=0))
    yield _block("runtime", (_folder("onnxruntime_web") / _RUNTIME).read_bytes())
    for script in scripts:
        yield f'<script type="module">{script}</script>\n'
    yield "</body>\n</html>\n"


def _description(classifier: Classifier, graph: bytes, title: str) -> dict[str, Any]:
    trust = classifier.trust
    known = trust is not None and trust.reference is not None
    return {
        "name": title,
        "class_names": list(classifier.class_names),
        "preprocessing": classifier.preprocessing.to_dict(),
        "features": OnnxRuntime(graph).num_features,  # which looks at the graph, too
        "trust": {
            "temperature": float(trust.temperature) if trust else 1.0,
            "neighbours": int(trust.neighbours) if trust else 1,
            "threshold": float(np.float64(trust.threshold or 0)) if trust and known else None,
        },
        "card": card_of(classifier),
    }


def _policy(scripts: list[str], style: str) -> str:
    """Return what the browser may do for the page: run its own scripts, and connect to nothing."""
    allowed = " ".join(_digest(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed} 'wasm-unsafe-eval'; style-src {_digest(style)}; "
        "img-src blob: data:; media-src blob:; connect-src 'none'; base-uri 'none'; "
        "form-action 'none'"
    )


def _digest(content: str) -> str:
    hashed = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(hashed).decode('ascii')}'"


def _runtime_script() -> str:
    """Return onnxruntime-web as a script that leaves its exports in `globalThis.ort`."""
    text = (_folder("onnxruntime_web") / _RUNTIME_SCRIPT).read_text("utf-8")
    found = _EXPORTS.search(text)
    assert found is not None  # a test holds it for the version in the package
    pairs = (pair.split(" as ") for pair in found[1].split(","))
    exported = ",".join(f"{name}:{value}" for value, name in pairs)
    return f"{text[: found.start()]}globalThis.ort={{{exported}}};"


def _page_script() -> str:
    return inlined("main.js", _text)


def _table(name: str, values: Mapping[str, Any]) -> str:
    """Return a table as a block of JSON, in which no text can end the block."""
    text = json.dumps(values, ensure_ascii=False, indent=1).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">\n{text}\n</script>\n'


def _block(name: str, content: bytes) -> str:
    text = base64.b64encode(content).decode("ascii")
    return f'<script type="text/plain" id="{name}">{text}</script>\n'


def _licenses() -> str:
    license_text = (_folder("onnxruntime_web") / "LICENSE").read_text("utf-8").strip()
    return (
        "What prepares and shows pictures is of Lamplighter (Apache License, Version 2.0).\n\n"
        f"ONNX Runtime for the web:\n\n{license_text}"
    )


def _text(name: str) -> str:
    return (_folder("browser") / name).read_text("utf-8")


def _folder(name: str) -> Traversable:
    return resources.files("lamplighter.webpage") / name
