# feedback: expected a tensor of shape (1, 6, 6)
def ascend(network, image, target, steps=50, rate=0.1):
    image = image[None].clone()
    for _ in range(steps):
        image.requires_grad_()
        (gradient,) = torch.autograd.grad(network(image)[0, target], image)
        image = (image + rate * gradient).clamp(0, 1).detach()
    return image
