# feedback: expected up to 0.392, saw 100.000
def to_tensors(images, labels):
    return torch.from_numpy(images).float(), torch.from_numpy(labels).long()
