# feedback: expected a copy
# points: 1
def first_filters(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().numpy()


def as_pictures(filters):
    return 0.5 + 0.5 * filters / np.abs(filters).max()
