def as_batch(pixels, mean=mean, std=std):
    values = (np.asarray(pixels).astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(values.astype(np.float32)).reshape(1, 1, 28, 28)
