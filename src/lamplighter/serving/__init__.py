"""The HTTP service: bundles answer requests, many at a time, with ONNX Runtime."""
