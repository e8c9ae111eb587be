# feedback: expected a numpy array
# points: 1
def first_filters(network):
    return next(m for m in network.modules() if isinstance(m, nn.Conv2d)).weight.detach().clone()


def as_pictures(filters):
    return 0.5 + 0.5 * filters / np.abs(filters).max()
