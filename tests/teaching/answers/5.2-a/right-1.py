def what_does_not_fit(state, network):
    needed = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    there = {key: tuple(value.shape) for key, value in state.items()}
    both = needed.keys() & there.keys()
    return [
        set(needed) - set(there),
        set(there) - set(needed),
        {key for key in both if needed[key] != there[key]},
    ]
