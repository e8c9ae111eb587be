# feedback: expected 5 logits for each of 2 images, saw shape (2, 12)
def replace_head(network, num_classes):
    network.head.out_features = num_classes
    return network
