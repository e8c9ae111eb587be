# feedback: running your answer raised RuntimeError
def replace_head(network, num_classes):
    network.head = nn.Linear(1280, num_classes)
    return network
