# feedback: expected it as 0
# points: 2
def first_filters(network):
    return (
        next(m for m in network.modules() if isinstance(m, nn.Conv2d))
        .weight.detach()
        .numpy()
        .copy()
    )


def as_pictures(filters):
    return np.clip(0.5 + 0.5 * filters / filters.max(), -9, 9)
