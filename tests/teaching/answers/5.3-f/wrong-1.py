# feedback: the network itself keeps what it learned
def forget(network):
    with torch.no_grad():
        for parameter in network.parameters():
            order = torch.randperm(parameter.numel())
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return network
