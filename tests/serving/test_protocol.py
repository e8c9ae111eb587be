"""The Open Inference Protocol, version 2: tensors as JSON and as binary data."""

from __future__ import annotations

import base64
import json
import struct

import numpy as np
import pytest

from lamplighter.inference.predictor import predict, predict_pixels
from lamplighter.saving.bundle import load

from . import bundles

INFER = "/v2/models/{}/infer"
SHAPE = [3, bundles.SIDE, bundles.SIDE]


def images(count, kind=np.uint8):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE)).astype(kind)


def tensor(values, datatype):
    return {
        "name": "input",
        "datatype": datatype,
        "shape": list(values.shape),
        "data": values.ravel().tolist(),
    }


def asked(client, body, *, name="pets", status=200, **options):
    response = client.post(INFER.format(name), json=body, **options)
    assert response.status_code == status, response.text
    return response.json() if status == 200 else response.json()["error"]


def outputs(document):
    return {one["name"]: one for one in document["outputs"]}


def test_what_the_service_and_its_models_are(serving, doubting):
    client = serving(doubting)
    assert client.get("/v2").json()["name"] == "lamplighter"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/doubting/ready").json() == {"name": "doubting", "ready": True}
    known = client.get("/v2/models/doubting").json()
    assert known["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, *SHAPE]}]
    assert [one["name"] for one in known["outputs"]] == [
        "probabilities", "logits", "label", "known", "distance", "features"
    ]  # fmt: skip
    (version,) = known["versions"]
    assert client.get(f"/v2/models/doubting/versions/{version}").json() == known
    assert client.get("/v2/models/doubting/versions/1").status_code == 404
    assert client.get("/v2/models/other").status_code == 404


def test_pixels_and_prepared_images_give_what_predict_gives(serving, doubting):
    client, pixels, made = serving(doubting), images(7), load(doubting)
    wanted = predict_pixels(made, pixels)
    prepared = made.preprocessing.normalise(pixels)
    for values, datatype in ((pixels, "UINT8"), (prepared, "FP32")):
        body = {"id": "seven", "inputs": [tensor(values, datatype)]}
        document = asked(client, body, name="doubting")
        assert document["id"] == "seven"
        assert document["model_name"] == "doubting"
        found = outputs(document)
        assert set(found) == {"probabilities", "logits", "label", "known", "distance"}
        assert found["probabilities"]["shape"] == [7, 3]
        np.testing.assert_allclose(
            np.reshape(found["probabilities"]["data"], (7, 3)), wanted.probabilities, atol=1e-6
        )
        np.testing.assert_allclose(found["distance"]["data"], wanted.distances, atol=1e-6)
        assert found["label"]["data"] == wanted.labels
        assert found["known"]["data"] == wanted.known.tolist()


def test_nested_data_and_chosen_outputs(serving):
    client, pixels = serving(), images(2)
    nested = {**tensor(pixels, "UINT8"), "data": pixels.tolist()}
    body = {"inputs": [nested], "outputs": [{"name": "features"}, {"name": "label"}]}
    document = asked(client, body)
    assert [one["name"] for one in document["outputs"]] == ["features", "label"]
    assert document["outputs"][0]["shape"] == [2, bundles.WIDTH]


def test_image_files(serving, bundle):
    files = bundles.pictures(3)
    data = [base64.b64encode(file).decode() for file in files]
    body = {"inputs": [{"name": "input", "datatype": "BYTES", "shape": [3], "data": data}]}
    wanted = predict(load(bundle), files)
    found = outputs(asked(serving(), body))
    assert found["label"]["data"] == wanted.labels
    np.testing.assert_allclose(
        np.reshape(found["probabilities"]["data"], (3, 3)), wanted.probabilities, atol=1e-6
    )
    body["inputs"][0]["data"][1] = base64.b64encode(b"no image").decode()
    assert "image 1 must be an image" in asked(serving(), body, status=415)


def binary_body(head, content):
    text = json.dumps(head).encode()
    return text + content, {"Inference-Header-Content-Length": str(len(text))}


def test_binary_data(serving, bundle):
    pixels = images(4)
    prepared = load(bundle).preprocessing.normalise(pixels)
    files = bundles.pictures(2)
    packed = b"".join(struct.pack("<I", len(file)) + file for file in files)
    client = serving()
    for datatype, shape, content, wanted in (
        ("UINT8", [4, *SHAPE], pixels.tobytes(), predict_pixels(load(bundle), pixels)),
        ("FP32", [4, *SHAPE], prepared.tobytes(), predict_pixels(load(bundle), pixels)),
        ("BYTES", [2], packed, predict(load(bundle), files)),
    ):
        head = {
            "inputs": [
                {
                    "name": "input",
                    "datatype": datatype,
                    "shape": shape,
                    "parameters": {"binary_data_size": len(content)},
                }
            ],
            "outputs": [
                {"name": "probabilities", "parameters": {"binary_data": True}},
                {"name": "label", "parameters": {"binary_data": True}},
                {"name": "known"},
            ],
        }
        body, headers = binary_body(head, content)
        response = client.post(INFER.format("pets"), content=body, headers=headers)
        assert response.status_code == 200, response.text
        length = int(response.headers["Inference-Header-Content-Length"])
        document, blocks = json.loads(response.content[:length]), response.content[length:]
        sizes = [
            one.get("parameters", {}).get("binary_data_size", 0) for one in document["outputs"]
        ]
        assert sum(sizes) == len(blocks)
        found = np.frombuffer(blocks[: sizes[0]], dtype="<f4").reshape(-1, 3)
        np.testing.assert_allclose(found, wanted.probabilities, atol=1e-6)
        first = wanted.labels[0].encode()
        assert blocks[sizes[0] :].startswith(struct.pack("<I", len(first)) + first)
        assert document["outputs"][2]["data"] == [True] * shape[0]


GOOD = tensor(images(1), "UINT8")
FLOATS = {**GOOD, "datatype": "FP32"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"not JSON", "must be JSON"),
        (b"\xff\xfe", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
        (b"[]", "a JSON object"),
        (b"{}", '"inputs" must be a list of one tensor'),
        ({"inputs": []}, "list of one tensor, received 0"),
        ({"inputs": [GOOD, GOOD]}, "list of one tensor, received 2"),
        ({"inputs": [1]}, "list of one tensor"),
        ({"inputs": [{**GOOD, "name": "pixels"}]}, "called \"input\", received 'pixels'"),
        ({"inputs": [{**GOOD, "datatype": "FP64"}]}, "datatype must be FP32"),
        ({"inputs": [{**GOOD, "datatype": ["FP32"]}]}, "datatype must be FP32"),
        ({"inputs": [{**GOOD, "shape": [1, 3, 8, 9]}]}, "shape must be [N, 3, 8, 8]"),
        ({"inputs": [{**GOOD, "shape": [0, 3, 8, 8]}]}, "shape must be"),
        ({"inputs": [{**GOOD, "shape": [-1, 3, 8, 8]}]}, "shape must be"),
        ({"inputs": [{**GOOD, "shape": [True, 3, 8, 8]}]}, "shape must be"),
        ({"inputs": [{**GOOD, "shape": []}]}, "shape must be"),
        ({"inputs": [{**GOOD, "shape": "1"}]}, "shape must be"),
        ({"inputs": [{**GOOD, "shape": None}]}, "shape must be"),
        ({"inputs": [{**GOOD, "shape": [2, 3, 8, 8]}]}, "must hold 384 whole numbers"),
        ({"inputs": [{**GOOD, "data": [1, 2]}]}, "must hold 192 whole numbers"),
        ({"inputs": [{**GOOD, "data": ["1"] * 192}]}, "must hold 192 whole numbers"),
        ({"inputs": [{**GOOD, "data": [None] * 192}]}, "must hold 192 whole numbers"),
        ({"inputs": [{**GOOD, "data": [True] * 192}]}, "must hold 192 whole numbers"),
        ({"inputs": [{**GOOD, "data": [[1], [2, 3]]}]}, "must hold 192 whole numbers"),
        ({"inputs": [{**GOOD, "data": [[1] * 96] * 2}]}, "flat or nested as the shape"),
        ({"inputs": [{**GOOD, "data": [256] * 192}]}, "UINT8 holds 0..255, received 256..256"),
        ({"inputs": [{**GOOD, "data": [-1] * 192}]}, "UINT8 holds 0..255"),
        ({"inputs": [{**GOOD, "data": [0.5] * 192}]}, "whole numbers"),
        ({"inputs": [{**GOOD, "data": "x"}]}, '"data" must be a list'),
        ({"inputs": [{**FLOATS, "data": [10**400] * 192}]}, "must hold 192 numbers"),
        ({"inputs": [{**FLOATS, "data": [1e39] * 192}]}, "must be finite"),
        ({"inputs": [{**GOOD, "datatype": "BYTES", "shape": [1], "data": ["%"]}]}, "base64"),
        ({"inputs": [{**GOOD, "datatype": "BYTES", "shape": [1], "data": [1]}]}, "base64"),
        ({"inputs": [GOOD], "outputs": [{"name": "class"}]}, "an output must be one of prob"),
        ({"inputs": [GOOD], "outputs": [{"name": {}}]}, "an output must be one of prob"),
        ({"inputs": [GOOD], "outputs": 1}, '"outputs" must be a list'),
        ({"inputs": [GOOD], "id": 1}, '"id" must be a short string'),
        ({"inputs": [GOOD], "parameters": 1}, '"parameters" must be an object'),
        (
            {"inputs": [{**GOOD, "parameters": {"binary_data_size": 5}}]},
            "must be the 0 bytes that follow",
        ),
    ],
)
def test_tensors_that_cannot_be_answered(serving, body, message):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = serving().post(INFER.format("pets"), content=content)
    assert response.status_code == 400, response.text
    told = response.json()["error"]
    assert message in told
    assert len(told) < 500
    assert "\n" not in told


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none(serving, word):
    text = json.dumps({"inputs": [{**FLOATS, "data": ["?"]}]})
    content = text.replace('["?"]', f"[{', '.join([word] * 192)}]")
    response = serving().post(INFER.format("pets"), content=content)
    assert response.status_code == 400
    assert "must be finite" in response.json()["error"]


def test_binary_data_that_does_not_fit(serving):
    client = serving()
    head = {"inputs": [{**GOOD, "parameters": {"binary_data_size": 191}}]}
    body, headers = binary_body(head, bytes(191))
    assert (
        "has 192 bytes, received 191"
        in (client.post(INFER.format("pets"), content=body, headers=headers).json()["error"])
    )
    for length in ("99999", "x", "-1"):
        headers = {"Inference-Header-Content-Length": length}
        response = client.post(INFER.format("pets"), content=b"{}", headers=headers)
        assert response.status_code == 400
    for content in (b"", b"\xff\xff\xff\xff", struct.pack("<I", 9) + b"short"):
        tensor_ = {"name": "input", "datatype": "BYTES", "shape": [1]}
        tensor_["parameters"] = {"binary_data_size": len(content)}
        body, headers = binary_body({"inputs": [tensor_]}, content)
        response = client.post(INFER.format("pets"), content=body, headers=headers)
        assert response.status_code == 400


def test_too_many_images(serving):
    body = {"inputs": [tensor(images(5), "UINT8")]}
    assert "at most 4 images" in asked(serving(max_queue=4), body, status=413)
