def deletion(network, image, target, importance, steps=16):
    ranks = (-importance).flatten().argsort().argsort().reshape(importance.shape)
    total = importance.numel()
    images = torch.stack([image * (ranks >= total * k // steps) for k in range(steps + 1)])
    with torch.no_grad():
        return torch.softmax(network(images), dim=1)[:, target]
