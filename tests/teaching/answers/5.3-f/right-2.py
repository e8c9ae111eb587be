def forget(network):
    other = copy.deepcopy(network)
    for parameter in other.parameters():
        values = parameter.detach().numpy().flatten()
        np.random.shuffle(values)
        parameter.data = torch.from_numpy(values).view_as(parameter)
    return other
