"""The same network behind LitServe, as its manual has it; run by serving.py in another environment.

    python serving_litserve.py GRAPH.onnx PORT WORKERS THREADS MAX_BATCH

An image comes as the file of a form, as to `lamplighter serve`, and is prepared alike.
"""

import io
import sys

import litserve
import numpy as np
import onnxruntime
from fastapi import Request
from PIL import Image


class Classifier(litserve.LitAPI):
    """Decodes, prepares and computes as the pretrained EfficientNet-Lite0 is evaluated."""

    def __init__(self, graph: str, threads: int, **options: object) -> None:
        super().__init__(**options)
        self._graph, self._threads = graph, threads

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        self._session = onnxruntime.InferenceSession(
            self._graph, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def decode_request(self, request: Request) -> np.ndarray:
        image = Image.open(io.BytesIO(request["image"].file.read()))
        image.draft("RGB", (512, 512))
        image = image.convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32)
        return ((pixels / 255 - 0.5) / 0.5).transpose(2, 0, 1)

    def batch(self, inputs: list) -> np.ndarray:
        return np.stack(inputs)

    def unbatch(self, output: np.ndarray) -> list:
        return list(output)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        if batch.ndim == 3:
            batch = batch[np.newaxis]
        return self._session.run(["logits"], {self._input: batch})[0]

    def encode_response(self, output: np.ndarray) -> dict:
        logits = output.ravel()
        best = np.argsort(-logits)[:3]
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        return {"top": [{"label": int(one), "probability": float(shares[one])} for one in best]}


if __name__ == "__main__":
    graph, port, workers, threads, most = sys.argv[1], *map(int, sys.argv[2:])
    api = Classifier(graph, threads, max_batch_size=most, batch_timeout=0.005)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=workers, timeout=60, track_requests=False
    )
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")
