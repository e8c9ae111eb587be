# feedback: random order
def forget(network):
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.copy_(parameter[torch.randperm(len(parameter))])
    return twin
