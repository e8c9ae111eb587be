# feedback: each slice was put in order by itself
def forget(network):
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in twin.parameters():
            if parameter.ndim == 1:
                parameter.copy_(parameter[torch.randperm(len(parameter))])
            else:
                for part in parameter:
                    order = torch.randperm(part.numel())
                    part.copy_(part.flatten()[order].reshape(part.shape))
    return twin
