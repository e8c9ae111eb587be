def head_only(network):
    lamplighter.freeze(network, until="backbone")
    network.train()
