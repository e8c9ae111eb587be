def head_only(network):
    network.requires_grad_(False)
    network.head.requires_grad_(True)
    network.eval()
    network.head.train()
