# feedback: expected the network itself to be returned, saw NoneType
def replace_head(network, num_classes):
    network.head = nn.Linear(network.head.in_features, num_classes)
