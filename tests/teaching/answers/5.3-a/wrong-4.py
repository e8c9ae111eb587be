# feedback: expected the shape (5, 3, 4, 2)
# points: 1
def first_filters(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            found = module.weight.detach().numpy().copy()
    return found


def as_pictures(filters):
    return 0.5 + filters / (2 * np.abs(filters).max())
