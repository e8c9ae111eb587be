# feedback: expected the network itself to be returned, saw Sequential
def replace_head(network, num_classes):
    return nn.Sequential(network.backbone, nn.Linear(network.head.in_features, num_classes))
