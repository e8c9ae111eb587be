"""From an image to its neighbours: by colour, which numpy knows as well."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lamplighter.errors import ImageError, SimilarIndexError
from lamplighter.features.extraction import embed
from lamplighter.features.index.index import Index
from lamplighter.features.similar import classifier_of, similar, source_name, source_of
from tests.features.conftest import SIZE, make_classifier, mean_colour_graph


@pytest.fixture
def index(colours, pictures, own_cache, tmp_path):
    with Index.create(tmp_path / "PHOTOS.index", embed(colours, pictures)) as index:
        yield index


def plain(folder, colour):
    path = folder / f"{'-'.join(map(str, colour))}.png"
    Image.new("RGB", (30, 30), colour).save(path)
    return path


def test_the_nearest_colour_comes_first(index, colours, pictures, tmp_path):
    colour = (70, 190, 10)
    (hits,) = similar(index, [plain(tmp_path, colour)], 5, classifier=colours)
    seen = {
        path: np.array(Image.open(pictures.root / path).getpixel((0, 0))) / 127.5 - 1
        for path in pictures.paths
    }
    asked = np.array(colour) / 127.5 - 1
    cosine = {
        path: value @ asked / np.linalg.norm(value) / np.linalg.norm(asked)
        for path, value in seen.items()
    }
    expected = sorted(cosine, key=lambda path: -cosine[path])[:5]
    assert [hit.path for hit in hits] == expected
    assert [hit.similarity for hit in hits] == pytest.approx(
        [cosine[p] for p in expected], abs=1e-5
    )


def test_every_image_of_the_folder_finds_itself(index, colours, pictures):
    answers = similar(index.path, pictures.files, 1, classifier=colours)
    assert [hits[0].path for hits in answers] == list(pictures.paths)
    assert [hits[0].similarity for hits in answers] == pytest.approx([1] * len(pictures))
    assert [hits[0].label for hits in answers] == ["dark"] * 6 + ["light"] * 6


def test_vectors_of_files_decoded_whole_are_searched_so(colours, pictures, own_cache, tmp_path):
    features = embed(colours, pictures, scaled=False)
    with Index.create(tmp_path / "PHOTOS.index", features) as index:
        (hits,) = similar(index, pictures.files[4:5], 1, classifier=colours)
    assert hits[0].path == pictures.paths[4]


def test_an_index_of_another_network_names_both(index, pictures):
    other = make_classifier(mean_colour_graph(), fit="crop")
    with pytest.raises(SimilarIndexError) as error:
        similar(index, pictures.files[:1], classifier=other)
    assert str(error.value).startswith(
        f"{index.path} was made with the network {index.network[:12]}, received "
    )
    assert "\n" not in str(error.value)


def test_what_cannot_be_asked(index, colours, pictures, tmp_path):
    with pytest.raises(ImageError, match="there is no file"):
        similar(index, [tmp_path / "absent.png"], classifier=colours)
    with pytest.raises(SimilarIndexError, match="takes a list of images"):
        similar(index, pictures.files[0], classifier=colours)
    with pytest.raises(SimilarIndexError, match=r"does not say which network .*give classifier="):
        similar(index, pictures.files[:1])


def test_a_pretrained_network_is_made_as_it_was(index, pictures, own_cache, monkeypatch):
    from lamplighter.features import similar as similar_module

    made = []

    def fake(name, *, size=None, fit=None):
        made.append((name, size, fit))
        height, width = size or (4, 4)
        return make_classifier(mean_colour_graph(), height=height, width=width, fit=fit)

    monkeypatch.setattr(similar_module, "pretrained", fake)
    classifier = fake("some-network", size=(SIZE, SIZE), fit="letterbox")
    path = index.path.with_name("other.index")
    source = source_of("some-network", classifier, path)
    with Index.create(path, embed(classifier, pictures), source=source) as other:
        assert source_name(other) == "some-network"
        (hits,) = similar(other, pictures.files[2:3], 1)
    assert hits[0].path == pictures.paths[2]
    assert made[-1] == ("some-network", (SIZE, SIZE), "letterbox")


@pytest.mark.parametrize("source", [{"bundle": 5}, {"pretrained": "../x"}, {"pretrained": 7}, {}])
def test_a_source_that_was_tampered_with(colours, pictures, own_cache, tmp_path, source):
    path = tmp_path / "PHOTOS.index"
    with (
        Index.create(path, embed(colours, pictures), source=source) as index,
        pytest.raises(SimilarIndexError),
    ):
        classifier_of(index)
