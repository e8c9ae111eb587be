# feedback: without tv and l2
def regularised_score(network, image, target, tv=0.0, l2=0.0):
    down = image.diff(dim=1).abs().sum()
    right = image.diff(dim=2).abs().sum()
    chance = network(image[None]).softmax(1)[0, target]
    return chance - tv * (down + right) - l2 * image.square().sum()
