# feedback: expected nothing in the backbone to change when images pass in training
# points: 2
def head_only(network):
    for weights in network.backbone.parameters():
        weights.requires_grad = False
    network.train()
