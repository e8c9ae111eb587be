"""Asks a service with NVIDIA's client of the Open Inference Protocol, as its manual shows it.

    python triton_asks.py HOST:PORT MODEL

Run with a Python that has tritonclient[http]; prints one JSON document.
"""

import json
import sys

import numpy as np
import tritonclient.http as protocol
from tritonclient.utils import InferenceServerException


def main() -> None:
    url, model = sys.argv[1:]
    client = protocol.InferenceServerClient(url)
    ready = [
        client.is_server_live(),
        client.is_server_ready(),
        client.is_model_ready(model),
    ]
    known = client.get_model_metadata(model)
    (port,) = known["inputs"]
    pixels = np.random.default_rng(0).integers(0, 256, (5, *port["shape"][1:]), dtype=np.uint8)
    answers = {}
    for binary in (True, False):
        tensor = protocol.InferInput(port["name"], list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels, binary_data=binary)
        for chosen in (None, ["probabilities", "label"]):
            outputs = chosen and [
                protocol.InferRequestedOutput(name, binary_data=binary) for name in chosen
            ]
            result = client.infer(model, [tensor], outputs=outputs, request_id="five")
            answers[f"{binary} {chosen is None}"] = {
                "probabilities": result.as_numpy("probabilities").tolist(),
                "labels": [
                    label.decode() if isinstance(label, bytes) else label
                    for label in result.as_numpy("label").tolist()
                ],
                "id": result.get_response()["id"],
            }
    refusals = []
    for shape, datatype in (([5, 1], "UINT8"), (list(pixels.shape), "FP64")):
        wrong = protocol.InferInput(port["name"], shape, datatype)
        wrong.set_data_from_numpy(np.zeros(shape, "u1" if datatype == "UINT8" else "f8"))
        try:
            client.infer(model, [wrong])
        except InferenceServerException as error:
            refusals.append(str(error))
    sys.stdout.write(
        json.dumps({"ready": ready, "known": known, "answers": answers, "refusals": refusals})
    )


main()
