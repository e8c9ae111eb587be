def replace_head(network, num_classes):
    old = network.head
    width = old.weight.shape[1]
    del network.head
    network.add_module("head", nn.Linear(width, num_classes, bias=old.bias is not None))
    return network
