"""/predict answers as `lamplighter predict --json` does, whatever way the images come."""

from __future__ import annotations

import itertools
import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lamplighter.inference.predictor import predict
from lamplighter.saving.bundle import load

from . import bundles


def answered(response, status=200):
    assert response.status_code == status, response.text
    return response.json()


def form(images):
    return [("image", (name, content, "image/png")) for name, content in images]


def rows_of(path, images, top=3, **options):
    """Return what `predict` says of images, as the document has it."""
    answers = predict(load(path), images, **options).results(top)
    return [
        {
            "label": one.label,
            "known": one.known,
            "distance": None if one.distance is None else pytest.approx(one.distance, abs=1e-6),
            "top": [
                {"label": label, "probability": pytest.approx(probability, abs=1e-6)}
                for label, probability in one.guesses
            ],
        }
        for one in answers
    ]


def test_one_image_as_the_body(serving, bundle):
    (image,) = bundles.pictures(1)
    document = answered(serving().post("/predict", content=image))
    (wanted,) = rows_of(bundle, [image])
    assert document["predictions"] == [{"path": "-", **wanted}]
    assert document["errors"] == []
    assert document["summary"]["images"] == 1


def test_500_images_in_any_mix_of_batches(serving, doubting):
    rng = np.random.default_rng(0)
    images = bundles.pictures(500)
    client = serving(doubting, max_queue=1000)
    edges = [0, *np.cumsum(rng.integers(1, 20, 200))]
    parts = [range(a, min(b, 500)) for a, b in itertools.pairwise(edges) if a < 500]

    def ask(part):
        chosen = [(f"{number}.png", images[number]) for number in part]
        return answered(client.post("/predict", files=form(chosen)))["predictions"]

    with ThreadPoolExecutor(12) as pool:
        found = [row for rows in pool.map(ask, parts) for row in rows]
    wanted = rows_of(doubting, images)
    assert [row.pop("path") for row in found] == [f"{number}.png" for number in range(500)]
    assert found == wanted
    unknown = [row for row in found if row["known"] is False]
    assert 100 < len(unknown) < 400
    assert {row["label"] for row in unknown} == {"unknown"}


def test_the_document_is_that_of_the_command(serving, doubting, tmp_path, capsys, monkeypatch):
    from lamplighter.cli import main

    names = []
    for number, content in enumerate(bundles.pictures(5)):
        names.append(tmp_path / f"{number}.png")
        names[-1].write_bytes(content)
    (tmp_path / "bad.png").write_bytes(b"no image")
    names.insert(2, tmp_path / "bad.png")
    monkeypatch.setattr(
        "sys.argv", ["lamplighter", "predict", str(doubting), *map(str, names), "--json"]
    )
    with pytest.raises(SystemExit):
        main()
    printed = json.loads(capsys.readouterr().out)
    files = form([(str(name), name.read_bytes()) for name in names])
    assert answered(serving(doubting).post("/predict", files=files)) == printed


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("top=1", {"top": 1}),
        ("top=99", {"top": 99}),
        ("always_answer=true", {"always_answer": True}),
    ],
)
def test_what_may_be_asked_beside(serving, doubting, query, options):
    images = bundles.pictures(8)
    files = form([(str(number), image) for number, image in enumerate(images)])
    found = answered(serving(doubting).post(f"/predict?{query}", files=files))["predictions"]
    assert [{**row, "path": None} for row in found] == [
        {**row, "path": None} for row in rows_of(doubting, images, **options)
    ]


def test_fields_of_a_form_are_parameters(serving):
    files = form([("a.png", *bundles.pictures(1))])
    client = serving()
    document = answered(client.post("/predict", files=files, data={"top": "1"}))
    assert len(document["predictions"][0]["top"]) == 1
    twice = client.post("/predict?top=2", files=files, data={"top": "1"})
    assert "'top' is given twice" in answered(twice, 400)["error"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("top=0", "top must be a whole number in 1..1000000, received '0'."),
        ("top=x", "received 'x'"),
        ("top=" + "9" * 5000, "received '999"),
        ("top=1&top=2", "'top' is given twice"),
        ("topk=3", "no parameter 'topk'; did you mean 'top'?"),
        ("always_answer=maybe", "always_answer must be true or false, received 'maybe'"),
    ],
)
def test_parameters_that_are_wrong(serving, query, message):
    response = serving().post(f"/predict?{query}", content=bundles.pictures(1)[0])
    told = answered(response, 400)["error"]
    assert message in told
    assert len(told) < 300


def png_of(width, height):
    """Return the head of a PNG that has no pixels."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


NOISE = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
BAD = {
    "text": (b"hello", 415, "received a file that begins b'hello'"),
    "zeros": (bytes(1000), 415, "must be an image"),
    "page": (b"<!DOCTYPE html><p>404", 415, "a web page"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "a drawing of lines"),
    "zip": (b"PK\x03\x04" + bytes(50), 415, "a zip file"),
    "pdf": (b"%PDF-1.7", 415, "a PDF"),
    "video": (b"\0\0\0\x18ftypmp42" + bytes(50), 415, "a video"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", 415, ""),
    "cut JPEG": (bundles.encoded(NOISE, "jpeg")[:900], 422, "damaged or cut short"),
    "cut PNG": (bundles.encoded(NOISE)[:900], 422, "damaged or cut short"),
    "no pixels": (png_of(20, 20), 422, "damaged or cut short"),
    "bomb": (png_of(60_000, 60_000), 413, "at most 1,073,741,824 pixels"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_images(serving, name):
    content, status, message = BAD[name]
    document = answered(serving().post("/predict", content=content), status)
    assert message in document["error"]
    assert document["predictions"] == []
    assert "\n" not in document["error"]
    assert "Traceback" not in json.dumps(document)


def test_bad_images_among_good_ones(serving, bundle):
    good = bundles.pictures(3)
    images = [("a", good[0]), ("b/ad", b"nothing"), ("c", good[1]), ("empty", b""), ("e", good[2])]
    document = answered(serving().post("/predict", files=form(images)))
    assert [row["path"] for row in document["predictions"]] == ["a", "c", "e"]
    assert [row["path"] for row in document["errors"]] == ["b/ad", "empty"]
    assert document["errors"][0]["error"].startswith("b/ad must be an image")
    assert document["errors"][1]["error"].startswith("empty is empty (0 bytes)")
    assert document["summary"]["errors"] == 2
    assert [row["top"] for row in document["predictions"]] == [
        row["top"] for row in rows_of(bundle, good)
    ]


def test_names_that_try_to_break_out_stay_names(serving, tmp_path):
    names = ('</script><script>alert("1")</script>', "\u202ecat", "a\nb", "🦆'\"")
    path = bundles.write(tmp_path / "names.lamp", bundles.classifier(names=names))
    client = serving(path)
    document = answered(client.post("/predict?top=4", content=bundles.pictures(1)[0]))
    assert {guess["label"] for guess in document["predictions"][0]["top"]} == set(names)
    (model,) = answered(client.get("/models"))["models"]
    assert model["classes"] == list(names)


def test_ten_thousand_classes(serving, tmp_path):
    names = tuple(f"class {number}" for number in range(10_000))
    path = bundles.write(tmp_path / "many.lamp", bundles.classifier(names=names))
    client, (image,) = serving(path), bundles.pictures(1)
    document = answered(client.post("/predict?top=10000", content=image))
    assert len(document["predictions"][0]["top"]) == 10_000
    assert len(answered(client.post("/predict", content=image))["predictions"][0]["top"]) == 3
    assert len(answered(client.get("/models"))["models"][0]["classes"]) == 10_000


def test_one_of_several_models(serving, bundle, doubting):
    client, (image,) = serving(bundle, doubting), bundles.pictures(1)
    assert (
        "choose one with model=NAME: pets, doubting"
        in (answered(client.post("/predict", content=image), 400)["error"])
    )
    missing = answered(client.post("/predict?model=pet", content=image), 404)["error"]
    assert "did you mean 'pets'?" in missing
    for path in (bundle, doubting):
        found = answered(client.post(f"/predict?model={path.stem}", content=image))["predictions"]
        assert found == [{"path": "-", **row} for row in rows_of(path, [image])]


def test_a_digit_is_found_or_not(serving, tmp_path):
    import dataclasses

    made = bundles.classifier()
    made.preprocessing = dataclasses.replace(made.preprocessing, find_digit=True)
    client = serving(bundles.write(tmp_path / "digits.lamp", made))
    blank = bundles.encoded(np.full((40, 40), 255, dtype=np.uint8))
    assert answered(client.post("/predict", content=blank), 422)["predictions"] == []
    assert len(answered(client.post("/predict?as_is=true", content=blank))["predictions"]) == 1


def test_vectors_are_those_of_embed(serving, bundle, tmp_path):
    from lamplighter.datasets.folders import find_files
    from lamplighter.features.extraction import embed

    folder = tmp_path / "photos"
    folder.mkdir()
    images = [(f"{number}.png", image) for number, image in enumerate(bundles.pictures(4))]
    for name, image in images:
        (folder / name).write_bytes(image)
    wanted = embed(load(bundle), find_files(folder), cache=False).vectors
    document = answered(serving().post("/embed", files=form([*images, ("bad", b"x")])))
    assert document["dimension"] == bundles.WIDTH
    np.testing.assert_allclose(
        [row["vector"] for row in document["embeddings"]], wanted, rtol=1e-5, atol=1e-5
    )
    assert [row["path"] for row in document["errors"]] == ["bad"]


def test_similar_images_are_those_of_the_index(serving, bundle, tmp_path):
    from lamplighter.datasets.folders import find_files
    from lamplighter.features.extraction import embed
    from lamplighter.features.index.index import Index
    from lamplighter.features.similar import similar, source_of

    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
    for number, image in enumerate(bundles.pictures(12)):
        (tmp_path / "photos" / "ab"[number % 2] / f"{number}.png").write_bytes(image)
    files, made = find_files(tmp_path / "photos"), load(bundle)
    path = tmp_path / "photos.index"
    source = source_of(bundle, made, path)
    Index.create(path, embed(made, files, cache=False), source=source).close()
    wanted = similar(path, [files.files[3]], 4)[0]
    client = serving(index=path)
    content = files.files[3].read_bytes()
    hits = answered(client.post("/similar?k=4", content=content))["images"][0]["hits"]
    assert [hit["path"] for hit in hits] == [hit.path for hit in wanted]
    assert hits[0]["similarity"] == pytest.approx(1, abs=1e-5)
    among = answered(client.post("/similar?k=4&label=b", content=content))["images"][0]["hits"]
    assert {hit["label"] for hit in among} == {"b"}
    told = answered(client.post("/similar?label=c", content=content), 400)["error"]
    assert "no image of label 'c'" in told
    # The network of the index is found by the index where the service has another.
    other = bundles.write(tmp_path / "other.lamp", bundles.classifier(7))
    hits = answered(serving(other, index=path).post("/similar", content=content))["images"][0]
    assert hits["hits"][0]["path"] == wanted[0].path


def test_without_an_index(serving):
    response = serving().post("/similar", content=bundles.pictures(1)[0])
    assert "start it with --index" in answered(response, 404)["error"]
