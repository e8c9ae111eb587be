# feedback: expected values from
def as_batch(pixels, mean=mean, std=std):
    scaled = torch.tensor(pixels, dtype=torch.float32)  # not divided by 255
    return ((scaled - mean) / std)[None, None]
