"""The index finds what a search by hand finds, and follows its folder."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from lamplighter.errors import OutputError, SimilarIndexError
from lamplighter.features.index import scan
from lamplighter.features.index.index import Changes, Index
from tests.features.index.vectors import NAMES, make_features, nearest, normal


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "PHOTOS.index"


def paths_of(index: Index) -> list[str]:
    """Every path of the index, sorted."""
    (hits,) = index.search(np.ones((1, index.dimension), dtype=np.float32), 10_000)
    return sorted(hit.path for hit in hits)


def test_the_nearest_are_those_found_one_by_one(path):
    vectors, queries = normal(500), normal(7, seed=1)
    with Index.create(path, make_features(vectors)) as index:
        answers = index.search(queries, 12)
    for query, hits in zip(queries, answers, strict=True):
        expected = nearest(vectors, query, 12)
        assert [hit.path for hit in hits] == [f"{number:05d}.jpg" for number, _ in expected]
        assert [hit.similarity for hit in hits] == pytest.approx([s for _, s in expected], abs=1e-6)
        assert [hit.label for hit in hits] == [NAMES[number % 2] for number, _ in expected]
        assert {hit.split for hit in hits} == {"train"}
        assert [hit.file for hit in hits] == [Path("/photos") / hit.path for hit in hits]


@pytest.mark.parametrize("kind", ["heavy", "alike"])
def test_recall_on_features_that_are_hard_to_round(path, kind, monkeypatch):
    """Some numbers a thousand times the others; and hundreds of images that are nearly one."""
    monkeypatch.setattr(scan, "_ENOUGH", 1000)  # so that there are several shards
    rng = np.random.default_rng(2)
    vectors = normal(3000, 64)
    if kind == "heavy":
        vectors *= np.exp(2.5 * rng.standard_normal(64)).astype(np.float32)
    else:
        vectors = 0.05 * vectors + normal(10, 64, seed=3)[rng.integers(0, 10, 3000)] ** 3
    queries = vectors[:40] + 0.01 * normal(40, 64, seed=4)
    with Index.create(path, make_features(vectors)) as index:
        answers = index.search(queries, 10)
    right = [
        len({f"{n:05d}.jpg" for n, _ in nearest(vectors, query, 10)} & {hit.path for hit in hits})
        for query, hits in zip(queries, answers, strict=True)
    ]
    assert sum(right) >= 0.99 * 400


def test_no_more_vectors_are_read_than_could_be_hits(path, monkeypatch):
    vectors = normal(3000, 64)
    with Index.create(path, make_features(vectors)) as index:
        read, original = [], index._store.vectors
        monkeypatch.setattr(
            index._store, "vectors", lambda ids: read.append(len(ids)) or original(ids)
        )
        (hits,) = index.search(vectors[:1], 10)
        assert hits[0].path == "00000.jpg"
        assert 10 < sum(read) < 100  # of 120 candidates


def test_a_rare_label_still_gives_as_many_as_asked_for(path, monkeypatch):
    monkeypatch.setattr(scan, "_ENOUGH", 500)
    vectors = normal(2000)
    labels = np.zeros(2000, dtype=int)
    rare = np.arange(0, 2000, 97)
    labels[rare] = 1
    with Index.create(path, make_features(vectors, labels=labels)) as index:
        (hits,) = index.search(vectors[1:2], 15, where={"label": "dog"})
        assert (
            index.search(vectors[1:2], 3, where={"split": "train", "label": "dog"})[0] == hits[:3]
        )
        (every,) = index.search(vectors[1:2], 1000, where={"label": "dog"})
    expected = [int(rare[n]) for n, _ in nearest(vectors[rare], vectors[1], 15)]
    assert [hit.path for hit in hits] == [f"{number:05d}.jpg" for number in expected]
    assert len(every) == len(rare)


def test_an_update_writes_what_differs(path):
    vectors = normal(10)
    names = [f"{number}.jpg" for number in range(10)]
    index = Index.create(path, make_features(vectors, paths=names))
    old = {hit.path: hit.id for hit in index.search(vectors[:1], 10)[0]}
    changed = vectors.copy()
    changed[3] = normal(1, seed=9)[0]
    labels = np.arange(10) % 2
    labels[4] = 1
    kept = make_features(changed, paths=names, labels=labels).take(range(8))
    more = make_features(normal(2, seed=5), paths=["a.jpg", "b.jpg"])
    features = make_features(
        np.concatenate([kept.vectors, more.vectors]),
        paths=[*kept.files.paths, "a.jpg", "b.jpg"],
        labels=[*kept.files.labels, 0, 1],
    )
    assert index.update(features) == Changes(
        added=2, replaced=1, relabelled=1, removed=2, unchanged=6
    )
    assert len(index) == 10
    for position, query in enumerate(features.vectors):
        first = index.search(query[np.newaxis], 1)[0][0]
        assert (first.path, first.similarity) == (features.files.paths[position], pytest.approx(1))
        assert first.label == NAMES[features.files.labels[position]]
        assert first.id == old.get(first.path, first.id)
    assert index.update(features) == Changes(unchanged=10)


def test_add_and_remove(path):
    vectors = normal(6)
    index = Index.create(path, make_features(vectors).take(range(3)))
    assert index.add(make_features(vectors).take([2, 3, 4])) == Changes(added=2, unchanged=3)
    assert paths_of(index) == [f"0000{number}.jpg" for number in range(5)]
    assert index.remove(["00001.jpg", "absent.jpg"]) == 1
    assert paths_of(index) == [f"0000{number}.jpg" for number in (0, 2, 3, 4)]
    assert len(Index.open(path)) == 4


def test_an_opened_index_follows_another_process(path):
    vectors = normal(20)
    first = Index.create(path, make_features(vectors).take(range(10)))
    second = Index.open(path)
    assert len(paths_of(second)) == 10
    first.update(make_features(vectors))
    assert len(paths_of(second)) == 20


def test_names_in_any_script_and_of_no_encoding(path):
    names = ["ünï/中.jpg", "two\nlines.jpg", "latin-\udce9.jpg", "'; DROP TABLE items; --"]
    vectors = normal(4)
    Index.create(path, make_features(vectors, paths=names)).close()
    with Index.open(path) as index:
        assert paths_of(index) == sorted(names)
        assert index.remove(names[2:]) == 2
        assert paths_of(index) == sorted(names[:2])


def test_a_folder_that_moves_with_its_index_is_found(tmp_path):
    (tmp_path / "old" / "photos").mkdir(parents=True)
    features = make_features(normal(2), root=tmp_path / "old" / "photos")
    Index.create(tmp_path / "old" / "PHOTOS.index", features).close()
    shutil.copy(tmp_path / "old" / "PHOTOS.index", tmp_path / "alone.index")
    assert Index.open(tmp_path / "alone.index").root == tmp_path / "old" / "photos"
    (tmp_path / "old").rename(tmp_path / "new")
    index = Index.open(tmp_path / "new" / "PHOTOS.index")
    assert index.root == tmp_path / "new" / "photos"
    assert index.search(features.vectors[:1], 1)[0][0].file.parent == index.root


def test_another_folder_does_not_empty_the_index(path, tmp_path):
    index = Index.create(path, make_features(normal(3)))
    other = make_features(normal(3, seed=1), root=tmp_path)
    with pytest.raises(SimilarIndexError, match=r"is of the folder /photos.*name another index"):
        index.update(other)
    assert index.search(other.vectors[:1], 1)[0][0].similarity < 0.99
    assert index.update(other, force=True).replaced == 3
    assert index.root == tmp_path


def test_groups_of_near_duplicates_are_the_linked_pairs(path, monkeypatch):
    from lamplighter.features.index import near_duplicates

    monkeypatch.setattr(near_duplicates, "_BLOCK", 7)  # so that pairs lie across blocks
    vectors = normal(40, 8)
    for one, other in ((3, 30), (30, 11), (5, 6), (20, 21)):
        vectors[other] = vectors[one] + 0.05 * normal(1, 8, seed=one)[0]
    vectors[21] = 7 * vectors[20]
    told = []
    with Index.create(path, make_features(vectors)) as index:
        groups = index.near_duplicates(0.97, progress=lambda *values: told.append(values))
    unit = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    pairs = {(i, j): unit[i] @ unit[j] for i, j in combinations(range(40), 2)}
    linked = [{i} for i in range(40)]
    for (i, j), similarity in pairs.items():
        if similarity >= 0.97:
            one, other = (next(group for group in linked if n in group) for n in (i, j))
            linked = [group for group in linked if group not in (one, other)] + [one | other]
    expected = sorted((sorted(g) for g in linked if len(g) > 1), key=lambda g: (-len(g), g))
    assert [[int(hit.path[:5]) for hit in group] for group in groups] == expected
    assert [3, 11, 30] in expected
    for group in groups:
        members = [int(hit.path[:5]) for hit in group]
        for number, hit in zip(members, group, strict=True):
            best = max(pairs[min(number, m), max(number, m)] for m in members if m != number)
            assert hit.similarity == pytest.approx(best, abs=1e-5)
    assert told[-1] == (40, 40)


def test_threads_may_share_an_index(path, monkeypatch):
    monkeypatch.setattr(scan, "_ENOUGH", 300)
    vectors = normal(1000)
    index = Index.create(path, make_features(vectors))
    wrong = []

    def ask(start: int) -> None:
        for number in range(start, 1000, 97):
            where = {"label": NAMES[number % 2]} if number % 3 else None
            (hits,) = index.search(vectors[number : number + 1], 3, where=where)
            if hits[0].path != f"{number:05d}.jpg":
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_small_and_strange_indexes(path):
    with Index.create(path, make_features(np.empty((0, 5), dtype=np.float32))) as empty:
        assert (len(empty), empty.search(np.ones((2, 5), dtype=np.float32))) == (0, [[], []])
        assert empty.near_duplicates() == []
    vectors = np.array([[0, 0], [1e30, 1e30], [1e-30, 0], [-1, 0]], dtype=np.float32)
    with Index.create(path, make_features(vectors), force=True) as index:
        (hits,) = index.search(np.array([[5, 0]], dtype=np.float32), 9)
    assert [hit.similarity for hit in hits] == pytest.approx([1, 2**-0.5, 0, -1])


@pytest.mark.parametrize("k", [0, -3])
def test_fewer_than_one_cannot_be_asked_for(path, k):
    with (
        Index.create(path, make_features(normal(3))) as index,
        pytest.raises(SimilarIndexError, match="k must be at least 1"),
    ):
        index.search(normal(1), k)


def test_what_cannot_be_asked(path):
    index = Index.create(path, make_features(normal(3)))
    broken = normal(1)
    broken[0, 3] = np.nan
    for vectors, expected in (
        (normal(1, 15), r"shape \(Q, 16\), received \(1, 15\)"),
        (normal(1)[0], "shape"),
        (broken, "received NaN"),
    ):
        with pytest.raises(SimilarIndexError, match=expected):
            index.search(vectors)
    for where, expected in (
        ({"colour": "red"}, "by label or split, received 'colour'"),
        ({"label": "cow"}, "no image of label 'cow'; it has cat, dog"),
    ):
        with pytest.raises(SimilarIndexError, match=expected):
            index.search(normal(1), where=where)
    for threshold in (0, 1.1, float("nan")):
        with pytest.raises(SimilarIndexError, match="threshold must be"):
            index.near_duplicates(threshold)


def test_what_cannot_be_put_in(path):
    index = Index.create(path, make_features(normal(3)))
    broken = normal(3)
    broken[1, 0] = np.inf
    other = make_features(normal(3), network="m" * 64)
    for features, expected in (
        (make_features(broken), "received NaN or infinity for 00001.jpg"),
        (other, f"of the network {'n' * 12} .* received features of {'m' * 12}"),
        (make_features(normal(3, 4)), "4 numbers"),
        (make_features(normal(2), paths=["a", "a"]), "a path twice"),
        (replace(make_features(normal(3)), vectors=normal(2)), "need vectors of shape"),
    ):
        with pytest.raises(SimilarIndexError, match=expected):
            index.update(features)
    assert [hits[0].similarity for hits in index.search(normal(3), 1)] == pytest.approx([1] * 3)


def test_a_file_is_not_replaced_unasked(path, tmp_path):
    path.write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        Index.create(path, make_features(normal(3)))
    assert path.read_text() == "mine"
    Index.create(path, make_features(normal(3)), force=True).close()
    with pytest.raises(OutputError, match="there is no folder"):
        Index.create(tmp_path / "absent" / "x.index", make_features(normal(3)))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
