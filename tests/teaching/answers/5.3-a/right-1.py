def first_filters(network):
    first = next(layer for layer in network.modules() if type(layer) is nn.Conv2d)
    return first.weight.data.clone().numpy()


def as_pictures(filters):
    limit = max(filters.max(), -filters.min())
    return (filters / limit + 1) / 2
