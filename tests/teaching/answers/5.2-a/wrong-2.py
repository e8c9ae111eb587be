# feedback: buffers
# points: 1
def what_does_not_fit(state, network):
    own = dict(network.named_parameters())  # without what is counted
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    reshaped = [key for key in own if key in state and own[key].shape != state[key].shape]
    return missing, unexpected, reshaped
