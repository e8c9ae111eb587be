# feedback: expected mid-grey
# points: 2
def first_filters(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().numpy().copy()


def as_pictures(filters):
    return (filters - filters.min()) / (filters.max() - filters.min())
