# feedback: expected the weights of the backbone to stay in a training step
# points: 2
def head_only(network):
    network.train()
    network.backbone.eval()
