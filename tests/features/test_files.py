"""Feature vectors in a file."""

from __future__ import annotations

import numpy as np
import pytest

from lamplighter.errors import DatasetError
from lamplighter.features.extraction import embed
from lamplighter.features.files import load_features, save_features


def test_what_was_saved_comes_back(colours, pictures, tmp_path):
    features = embed(colours, pictures)
    again = load_features(save_features(features, tmp_path / "f.npz"))
    np.testing.assert_array_equal(again.vectors, features.vectors)
    np.testing.assert_array_equal(again.files.labels, pictures.labels)
    assert again.files.paths == pictures.paths
    assert again.files.class_names == ("dark", "light")
    assert again.files.root == pictures.root
    assert again.hashes == features.hashes
    assert again.network == features.network


def test_numpy_alone_reads_it(colours, pictures, tmp_path):
    save_features(embed(colours, pictures), tmp_path / "f.npz")
    content = np.load(tmp_path / "f.npz", allow_pickle=False)
    assert content["vectors"].shape == (12, 3)
    assert content["vectors"].dtype == np.float32
    assert content["paths"][0] == "dark/00.png"
    assert content["class_names"][content["labels"][-1]] == "light"


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(DatasetError, match=r"there is no file .*lamplighter embed"):
        load_features(tmp_path / "none.npz")


@pytest.mark.parametrize("damage", ["cut", "other", "pickle", "lengths"])
def test_a_damaged_file_is_refused(colours, pictures, tmp_path, damage):
    path = save_features(embed(colours, pictures), tmp_path / "f.npz")
    content = dict(np.load(path))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "other":
        path.write_bytes(b"something else")
    elif damage == "pickle":
        np.savez(path, **(content | {"paths": np.array([{"a": 1}], dtype=object)}))
    else:
        np.savez(path, **(content | {"vectors": content["vectors"][:5]}))
    with pytest.raises(DatasetError, match="must hold features"):
        load_features(path)
