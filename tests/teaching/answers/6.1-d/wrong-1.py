# feedback: expected one dense layer in the network, from its 96 features to 5 classes
def replace_head(network, num_classes):
    network.head = nn.Sequential(
        network.head, nn.ReLU(), nn.Linear(network.head.out_features, num_classes)
    )
    return network
