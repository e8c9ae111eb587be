# feedback: expected the head to learn in a training step
def head_only(network):
    for weights in network.parameters():
        weights.requires_grad = False
    network.eval()
