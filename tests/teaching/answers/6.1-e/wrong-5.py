# feedback: saw dropout at work
# points: 2
def head_only(network):
    network.train()
    for m in network.backbone.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eval()
    for p in network.backbone.parameters():
        p.requires_grad = False
