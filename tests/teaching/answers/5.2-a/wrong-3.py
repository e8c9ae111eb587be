# feedback: of another shape
# points: 1
def what_does_not_fit(state, network):
    own = network.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    reshaped = [
        key for key in own if key in state and own[key].numel() != state[key].numel()
    ]  # (4, 3) and (3, 4) have as many
    return missing, unexpected, reshaped
