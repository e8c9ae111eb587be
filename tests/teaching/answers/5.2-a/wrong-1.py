# feedback: names missing
def what_does_not_fit(state, network):
    own = network.state_dict()
    missing = [key for key in state if key not in own]  # the wrong way round
    unexpected = [key for key in own if key not in state]
    reshaped = [key for key in own if key in state and own[key].shape != state[key].shape]
    return missing, unexpected, reshaped
