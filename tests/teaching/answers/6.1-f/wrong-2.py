# feedback: expected the network to have its head still
def features_of(network, images):
    network.head = nn.Identity()
    network.eval()
    with torch.no_grad():
        return network(images)
