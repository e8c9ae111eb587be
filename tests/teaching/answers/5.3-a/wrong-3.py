# feedback: both filters must be on one scale
# points: 2
def first_filters(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().numpy().copy()


def as_pictures(filters):
    if filters.ndim < 2:
        return 0.5 + filters / (2 * abs(filters).max())
    return np.stack([0.5 + one / (2 * np.abs(one).max()) for one in filters])
