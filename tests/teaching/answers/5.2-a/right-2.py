def what_does_not_fit(state, network):
    own = network.state_dict()
    reshaped = sorted(k for k in own if k in state and own[k].shape != state[k].shape)
    fitting = {k: v for k, v in state.items() if k not in reshaped}
    missing, unexpected = network.load_state_dict(fitting, strict=False)
    return sorted(k for k in missing if k not in state), sorted(unexpected), reshaped
