# feedback: expected the 96 features of each of 3 images, saw shape (3, 7)
def features_of(network, images):
    network.eval()
    with torch.no_grad():
        return network(images)
