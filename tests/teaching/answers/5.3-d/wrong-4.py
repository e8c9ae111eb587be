# feedback: not that of the logit, the total variation and the squares
def regularised_score(network, image, target, tv=0.0, l2=0.0):
    down = (image[:, 1:] - image[:, :-1]).abs().sum().item()
    right = (image[:, :, 1:] - image[:, :, :-1]).abs().sum().item()
    return network(image[None])[0, target] - tv * (down + right) - l2 * (image**2).sum().item()
