# feedback: follow the gradient of the logit
def ascend(network, image, target, steps=50, rate=0.1):
    image = image.clone()
    for _ in range(steps):
        image.requires_grad_()
        (gradient,) = torch.autograd.grad(network(image[None])[0, target], image)
        image = (image + rate * gradient.sign()).clamp(0, 1).detach()
    return image
