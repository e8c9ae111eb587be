def to_tensors(images, labels):
    pixels = torch.as_tensor(images / 255.0, dtype=torch.float32)
    return [pixels, torch.tensor(labels, dtype=torch.int64)]
