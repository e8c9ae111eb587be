# feedback: with tv=0.1
def regularised_score(network, image, target, tv=0.0, l2=0.0):
    down = (image[:, 1:] - image[:, :-1]).abs().mean()
    right = (image[:, :, 1:] - image[:, :, :-1]).abs().mean()
    return network(image[None])[0, target] - tv * (down + right) - l2 * image.square().sum()
