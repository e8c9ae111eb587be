# feedback: expected the most important ones
def deletion(network, image, target, importance, steps=16):
    order = importance.flatten().argsort()
    found = []
    for step in range(steps + 1):
        holes = image.flatten(1).clone()
        holes[:, order[: len(order) * step // steps]] = 0
        with torch.no_grad():
            found.append(network(holes.reshape(1, *image.shape)).softmax(1)[0, target].item())
    return found
