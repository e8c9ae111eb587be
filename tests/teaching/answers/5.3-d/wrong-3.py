# feedback: saw one without
def regularised_score(network, image, target, tv=0.0, l2=0.0):
    with torch.no_grad():
        down = (image[:, 1:] - image[:, :-1]).abs().sum()
        right = (image[:, :, 1:] - image[:, :, :-1]).abs().sum()
        return network(image[None])[0, target] - tv * (down + right) - l2 * image.square().sum()
