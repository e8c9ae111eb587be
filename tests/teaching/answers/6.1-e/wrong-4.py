# feedback: expected nothing in the backbone to change when images pass in training
# points: 2
def head_only(network):
    network.backbone.eval()
    network.backbone.requires_grad_(False)
    network.train()
