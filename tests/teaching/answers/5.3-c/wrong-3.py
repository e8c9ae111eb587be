# feedback: the gradient of the logit
def ascend(network, image, target, steps=50, rate=0.1):
    image = image.clone()
    for _ in range(steps):
        image.requires_grad_()
        probability = network(image[None]).softmax(1)[0, target]
        (gradient,) = torch.autograd.grad(probability, image)
        image = (image + rate * gradient).clamp(0, 1).detach()
    return image
