# feedback: from nothing gone to all gone
def deletion(network, image, target, importance, steps=16):
    order = importance.flatten().argsort(descending=True)
    found = []
    for step in range(1, steps + 1):
        holes = image.flatten(1).clone()
        holes[:, order[: len(order) * step // steps]] = 0
        with torch.no_grad():
            found.append(network(holes.reshape(1, *image.shape)).softmax(1)[0, target].item())
    return found
