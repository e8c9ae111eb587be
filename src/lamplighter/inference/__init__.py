"""Running a classifier on images: ONNX Runtime or torch, and the answers in words."""
