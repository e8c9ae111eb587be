"""Running a classifier on images: ONNX Runtime or torch, and the answers in words."""

import os

# ONNX Runtime 1.29 and later tell Microsoft of each process that uses them, and keep a number for
# this machine in the cache, unless this is set before they are imported. Who sets it is heard.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
