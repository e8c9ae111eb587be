"""From image files to feature vectors."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from lamplighter.datasets.folders import scan_folder
from lamplighter.errors import DatasetError, ModelError, UnknownSplitError
from lamplighter.features import extraction
from lamplighter.features.extraction import embed, fingerprint
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier

from .conftest import make_classifier, mean_colour_graph

pytestmark = pytest.mark.usefixtures("own_cache")


def mean_colour(path) -> np.ndarray:
    """Return what the graph computes, without it."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64) / 255
    return ((pixels - 0.5) / 0.5).mean(axis=(0, 1))


def test_each_row_is_the_vector_of_its_file(colours, pictures):
    features = embed(colours, pictures)
    expected = np.stack([mean_colour(file) for file in pictures.files])
    np.testing.assert_allclose(features.vectors, expected, atol=1e-5)
    assert features.vectors.dtype == np.float32
    assert features.files.paths == pictures.paths
    assert features.cached == 0
    assert len(features) == 12


def test_a_second_run_takes_all_from_the_cache(colours, pictures, monkeypatch):
    first = embed(colours, pictures)
    monkeypatch.setattr(Preprocessing, "open", lambda *_, **__: pytest.fail("decoded again"))
    second = embed(colours, pictures)
    np.testing.assert_array_equal(second.vectors, first.vectors)
    assert second.cached == 12


def test_a_folder_that_has_grown_costs_what_is_new(colours, pictures):
    embed(colours, pictures)
    shutil.copy(pictures.files[0], pictures.root / "light" / "moved-here.png")
    Image.new("RGB", (9, 9), "purple").save(pictures.root / "light" / "new.png")
    grown = embed(colours, scan_folder(pictures.root))
    assert len(grown) == 14
    assert grown.cached == 13  # a copy is known by its content


def test_without_the_cache_nothing_is_kept(colours, pictures, own_cache):
    embed(colours, pictures, cache=False)
    assert not own_cache.exists()
    assert embed(colours, pictures, cache=False).cached == 0


def test_another_preprocessing_is_another_network(colours, pictures):
    embed(colours, pictures)
    other = make_classifier(mean_colour_graph(), mean=(0.0, 0.0, 0.0))
    assert fingerprint(other) != fingerprint(colours)
    assert embed(other, pictures).cached == 0


def test_a_bad_file_is_set_aside_and_the_others_go_on(colours, pictures):
    whole = pictures.files[3].read_bytes()
    pictures.files[3].write_bytes(whole[: len(whole) // 2])
    pictures.files[5].unlink()
    features = embed(colours, pictures)
    assert len(features) == 10
    reasons = {file.path: file.reason for file in features.files.set_aside}
    assert reasons.keys() == {pictures.paths[3], pictures.paths[5]}
    assert "damaged or cut short" in reasons[pictures.paths[3]]
    assert "there" in reasons[pictures.paths[5]]
    expected = [mean_colour(features.files.root / path) for path in features.files.paths]
    np.testing.assert_allclose(features.vectors, expected, atol=1e-5)


def test_an_image_too_large_for_the_memory_is_set_aside(colours, pictures, monkeypatch):
    """Decoded it may fit, and resized no longer."""
    place = pictures.files[4]
    Image.new("RGB", (30, 5), "white").save(place)
    resize = Preprocessing._resize

    def exhausted(self, image):
        if image.size == (30, 5):
            raise MemoryError
        return resize(self, image)

    monkeypatch.setattr(Preprocessing, "_resize", exhausted)
    features = embed(colours, pictures)
    assert len(features) == 11
    (left_out,) = features.files.set_aside
    assert left_out.path == pictures.paths[4]
    assert left_out.reason.startswith("the image needs more memory than there is")


def test_a_file_that_changes_under_way_is_not_kept(colours, pictures, monkeypatch):
    """What was hashed is the old content, what is decoded is the new."""
    place = pictures.files[4]
    old, opened = place.read_bytes(), Preprocessing.open

    def late(self, path, **options):
        if path == place:
            Image.new("RGB", (9, 9), "white").save(path)
        return opened(self, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Preprocessing, "open", late)
        changed = embed(colours, pictures)
    np.testing.assert_allclose(changed.vectors[4], mean_colour(place), atol=1e-5)
    assert changed.hashes[4] == hashlib.sha256(place.read_bytes()).hexdigest()
    place.write_bytes(old)
    again = embed(colours, pictures)
    assert again.cached == 11
    np.testing.assert_allclose(again.vectors[4], mean_colour(place), atol=1e-5)


def test_a_file_is_never_in_memory_as_a_whole(colours, pictures):
    place = pictures.files[4]
    with place.open("ab") as file:
        file.truncate(200_000_000)  # zeros after the end of the PNG
    tracemalloc.start()
    try:
        assert len(embed(colours, pictures, cache=False)) == 12
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30e6


def test_no_readable_file_is_an_error(colours, pictures):
    for file in pictures.files:
        file.write_bytes(b"")
    with pytest.raises(DatasetError, match="none of the 12 files of pictures could be read"):
        embed(colours, pictures)


def test_a_network_without_features_is_refused(pictures):
    with pytest.raises(ModelError, match="one vector for each image"):
        embed(make_classifier(mean_colour_graph(features=False)), pictures)


def test_a_torch_network_gives_what_feeds_its_last_layer(pictures):
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    classifier = Classifier(network, Preprocessing(height=8, width=8), ("dark", "light"))
    expected = np.stack([mean_colour(file) for file in pictures.files])
    np.testing.assert_allclose(embed(classifier, pictures).vectors, expected, atol=1e-5)


def test_weights_change_the_fingerprint():
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    classifier = Classifier(network, Preprocessing(height=8, width=8), ("dark", "light"))
    before = fingerprint(classifier)
    assert fingerprint(classifier) == before
    nn.init.zeros_(network[1].bias)
    assert fingerprint(classifier) != before


def test_progress_is_told_of_every_file(colours, pictures):
    told = []
    embed(colours, pictures, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 12) for done in range(1, 13)]


def test_a_split_keeps_its_rows(colours, pictures):
    files = replace(pictures, splits=tuple("train" if i % 3 else "val" for i in range(12)))
    features = embed(colours, files)
    validation = features.split("val")
    np.testing.assert_array_equal(validation.vectors, features.vectors[::3])
    assert validation.hashes == features.hashes[::3]
    with pytest.raises(UnknownSplitError, match="no split 'test'"):
        features.split("test")


def test_scaled_decoding_is_nearly_the_same_and_cached_apart(tmp_path, colours):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    (tmp_path / "photos").mkdir()
    smooth.resize((1600, 1200), Image.Resampling.BICUBIC).save(tmp_path / "photos" / "large.jpg")
    files = scan_folder(tmp_path / "photos")
    quick, exact = embed(colours, files), embed(colours, files, scaled=False)
    assert exact.cached == 0
    np.testing.assert_allclose(quick.vectors, exact.vectors, atol=0.02)


def test_a_run_that_was_killed_goes_on_where_it_was(colours, tmp_path, own_cache, monkeypatch):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(300):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 0)).save(folder / f"{number}.png")
    script = """
        import os, sys, time
        from tests.features.conftest import make_classifier, mean_colour_graph
        from lamplighter.datasets.folders import scan_folder
        from lamplighter.features.extraction import embed

        def watch(done, total):
            if done == 200:
                print("now", flush=True)
                time.sleep(60)

        embed(make_classifier(mean_colour_graph()), scan_folder(sys.argv[1]), progress=watch)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"now\n"
        process.send_signal(signal.SIGKILL)
    features = embed(colours, scan_folder(folder))
    assert 200 - extraction._KEPT_AT_ONCE < features.cached <= 200


def test_memory_grows_by_the_vectors_alone(colours, tmp_path):
    """Decoded images are let go: 200 images of 3 MB never lie in memory together."""
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(60):
        Image.new("RGB", (1000, 1000), (number, 0, 0)).save(folder / f"{number}.png")
    files = scan_folder(folder)
    tracemalloc.start()
    try:
        embed(colours, files, cache=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30e6


def test_ctrl_c_keeps_what_is_done(colours, pictures):
    def stop(done, _):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(colours, pictures, progress=stop)
    start = time.perf_counter()
    assert embed(colours, pictures).cached == 8
    assert time.perf_counter() - start < 5
