"""Photos from a folder to a tested bundle where torch is not installed.

Run by `make test-light`, in an environment with the base install and pytest alone.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import lamplighter
from lamplighter.inference.runtime import runtime

if TYPE_CHECKING:
    from lamplighter.transfer.ladder import Ladder

pytestmark = pytest.mark.light

MOST_ON_DISK = 600e6  # bytes of the environment
TOLD = re.compile(r"lamplighter: .* needs? \w+, which is not installed; pip install .+\[\w+\].*")


def run(*words: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lamplighter", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def emoji(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lamplighter.write_sample("emoji", tmp_path_factory.mktemp("photos") / "emoji")


@pytest.fixture(scope="module")
def ladder(emoji: Path) -> Ladder:
    return lamplighter.climb_ladder(emoji)


@pytest.fixture(scope="module")
def bundle(ladder: Ladder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lamplighter.save(ladder.classifier, tmp_path_factory.mktemp("bundle") / "photos.lamp")


def test_there_is_no_torch_here() -> None:
    for name in ("torch", "torchvision", "timm", "pytorch_lightning", "captum"):
        assert importlib.util.find_spec(name) is None


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="not an environment of its own")
def test_the_environment_is_small() -> None:
    files = (Path(folder) / name for folder, _, names in os.walk(sys.prefix) for name in names)
    blocks = sum(file.lstat().st_blocks for file in files)  # of 512 bytes, as du counts
    assert blocks * 512 <= MOST_ON_DISK


class TestTransfer:
    def test_climbs_what_is_a_head_on_features(self, ladder: Ladder) -> None:
        assert [rung.name for rung in ladder.rungs] == ["knn", "svm", "linear"]
        assert ladder.left_out == dict.fromkeys(
            ("head", "blocks", "full"), "torch is not installed"
        )
        assert "head, blocks and full were left out: torch is not installed" in (
            ladder.recommendation().replace("head, blocks, full", "head, blocks and full")
        )
        assert ladder.tests[0].accuracy.value > 0.7
        assert ladder.classifier.trust is not None

    def test_asked_for_nothing_else_says_what_to_install(self, emoji: Path) -> None:
        with pytest.raises(lamplighter.errors.MissingPackageError, match=r"full need.*\[train\]"):
            lamplighter.climb_ladder(emoji, rungs=("blocks", "full"), audit=False)

    @pytest.mark.parametrize("kind", ["knn", "svm", "linear"])
    def test_a_bundle_answers_as_its_head(self, ladder: Ladder, kind: str, tmp_path: Path) -> None:
        rung = next(rung for rung in ladder.rungs if rung.name == kind)
        loaded = lamplighter.load(lamplighter.save(rung.make(), tmp_path / "new.lamp"))
        files = ladder.files.take(range(20))
        inputs = np.stack(
            [loaded.preprocessing(lamplighter.open_image(file)) for file in files.files]
        )
        logits, features = runtime(loaded).with_features(inputs)
        assert rung.fitted is not None
        np.testing.assert_allclose(logits, rung.fitted.head.logits(features), atol=1e-3)
        vectors = lamplighter.embed(lamplighter.pretrained(fit="squash"), files).vectors
        np.testing.assert_allclose(features, vectors, atol=1e-3)

    def test_again_from_its_own_bundle(self, bundle: Path, emoji: Path, tmp_path: Path) -> None:
        again = lamplighter.climb_ladder(
            emoji, backbone=lamplighter.load(bundle), rungs=["linear"], audit=False
        )
        assert again.cached == 0  # the network of a bundle is another file than the backbone's
        lamplighter.save(again.classifier, tmp_path / "again.lamp")

    def test_a_bundle_is_changed_and_saved_again(self, bundle: Path, tmp_path: Path) -> None:
        loaded = lamplighter.load(bundle)
        assert loaded.trust is not None
        loaded.trust = None
        path = lamplighter.save(loaded, tmp_path / "again.lamp")
        described = lamplighter.describe(path)
        assert described["trust"] is None
        assert described["parity"] == lamplighter.describe(bundle)["parity"]
        assert lamplighter.load(path).weight_arrays().keys() == loaded.weight_arrays().keys()

    def test_in_integers(self, emoji: Path, tmp_path: Path) -> None:
        reduced = lamplighter.climb_ladder(emoji, rungs=["linear"], audit=False, precision="int8")
        path = lamplighter.save(reduced.classifier, tmp_path / "reduced.lamp")
        loaded = lamplighter.load(path)
        assert loaded.precision == "int8"
        kinds = {node.op_type for node in onnx.load_model_from_string(loaded.graph).graph.node}
        assert "QuantizeLinear" in kinds
        photo = next((emoji / "test" / "bird").iterdir())
        expected = lamplighter.predict(reduced.classifier, [photo]).logits
        np.testing.assert_allclose(lamplighter.predict(loaded, [photo]).logits, expected, atol=1e-4)
        again = lamplighter.save(loaded, tmp_path / "again.lamp")
        assert lamplighter.load(again).graph == loaded.graph

    def test_precision_auto_tells_what_it_measured(self, emoji: Path) -> None:
        from lamplighter.features.precision_choice import choose_precision

        files = lamplighter.assign_splits(lamplighter.find_files(emoji))
        choice = choose_precision(lamplighter.pretrained(fit="squash"), files)
        assert choice.classifier.precision == choice.precision
        assert re.search(r"ms an image in int8 and [\d.]+ ms in fp32", choice.reason)


def network_file(path: Path, width: int = 12) -> Path:
    """Write an ONNX network: a convolution, then the mean of each map."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.normal(size=(width, 3, 3, 3)).astype(np.float32), "weight")
    nodes = [
        helper.make_node("Conv", ["pixels", "weight"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
    ]
    images = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, "h", "w"])
    vector = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["n", width, 1, 1])
    graph = helper.make_graph(nodes, "own", [images], [vector], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def test_an_onnx_file_is_a_backbone(emoji: Path, tmp_path: Path) -> None:
    own = network_file(tmp_path / "own.onnx")
    prepared = ["--backbone", own, "--size", "48", "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5"]
    done = run("transfer", emoji, *prepared, "--out", tmp_path / "own.lamp", "--no-audit")
    assert done.returncode == 0, done.stderr
    photo = next((emoji / "test" / "bird").iterdir())
    assert run("predict", tmp_path / "own.lamp", photo).returncode == 0
    loaded = lamplighter.load(tmp_path / "own.lamp")
    lamplighter.save(loaded, tmp_path / "again.lamp")
    index = tmp_path / "own.index"
    assert run("embed", emoji, *prepared, "--index", index).returncode == 0
    found = run("similar", index, photo, "--json")
    assert json.loads(found.stdout)["hits"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    for part in range(3):  # what it was made with must be said
        words = prepared[: 2 + 2 * part] + prepared[4 + 2 * part :]
        refused = run("embed", emoji, *words)
        assert refused.returncode == 1
        assert f"give {prepared[2 + 2 * part]} as well" in refused.stderr


class TestCommands:
    def test_do_their_work(self, emoji: Path, bundle: Path, tmp_path: Path) -> None:
        photo = next((emoji / "test" / "bird").iterdir())
        shutil.make_archive(str(tmp_path / "zipped"), "zip", emoji)
        for words in (
            ("audit", emoji),
            ("audit", "zipped.zip"),
            ("embed", emoji, "--index", "photos.index", "--out", "photos.npz"),
            ("embed", emoji, "--precision", "int8", "--index", "int8.index"),
            ("similar", "photos.index", photo, "--sheet", "similar.png"),
            ("similar", "int8.index", photo),
            ("evaluate", bundle, emoji, "--mistakes", "mistakes.png"),
            ("predict", bundle, photo),
            ("predict", "efficientnet-lite2", photo),
            ("info", bundle),
            ("info", "lite2"),
            ("export", bundle, "--format", "onnx", "--out", "photos.onnx"),
            ("export", bundle, "--format", "onnx", "--with-preprocessing", "--out", "whole.onnx"),
            ("export", bundle, "--format", "onnx", "--precision", "int8", "--out", "small.onnx"),
            ("card", bundle, "--out", "README.md"),
            ("transfer", "zipped.zip", "--backbone", "auto", "--rungs", "linear"),
            ("data", "digits", "digits"),
            ("models",),
            ("labels", emoji),
        ):
            done = run(*words, folder=tmp_path)
            assert done.returncode == 0, (words, done.stderr)
            assert "Traceback" not in done.stderr
        assert (tmp_path / "similar.png").stat().st_size > 10_000
        exported = onnx.load(tmp_path / "photos.onnx")
        assert [port.name for port in exported.graph.output] == ["logits", "features"]

    def test_that_need_torch_say_so_in_one_line(
        self, emoji: Path, bundle: Path, tmp_path: Path
    ) -> None:
        photo = next((emoji / "test" / "bird").iterdir())
        for words in (
            ("train", "mnist"),
            ("explain", bundle, photo),
            ("layers", bundle),
            ("export", bundle, "--format", "state-dict", "--out", "x.pt"),
            ("embed", emoji, "--backbone", "resnet50"),
            ("map", bundle, emoji),
        ):
            done = run(*words, folder=tmp_path)
            assert done.returncode == 1, words
            last = done.stderr.strip().splitlines()[-1]
            assert TOLD.fullmatch(last), (words, done.stderr)
            assert "Traceback" not in done.stderr
