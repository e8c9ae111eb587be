# feedback: expected a larger logit
def ascend(network, image, target, steps=50, rate=0.1):
    image = image.clone()
    for _ in range(steps):
        image.requires_grad_()
        logit = network(image[None])[0, target]
        (gradient,) = torch.autograd.grad(logit, image)
        image = (image - rate * gradient).clamp(0, 1).detach()
    return image
