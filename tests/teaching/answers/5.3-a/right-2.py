def first_filters(network):
    for _, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            return np.array(layer.weight.tolist(), dtype=np.float32)
    raise ValueError("no convolution")


def as_pictures(filters):
    farthest = np.max(np.abs(filters))
    return np.interp(filters, [-farthest, farthest], [0, 1])
