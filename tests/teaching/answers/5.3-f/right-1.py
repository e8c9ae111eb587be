def forget(network):
    generator = np.random.default_rng(3)
    state = {}
    for name, value in network.state_dict().items():
        mixed = generator.permutation(value.numpy().ravel()).reshape(value.shape)
        state[name] = torch.from_numpy(mixed)
    forgetful = copy.deepcopy(network)
    forgetful.load_state_dict(state)
    return forgetful
