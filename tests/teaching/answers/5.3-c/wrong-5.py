# feedback: after five small steps
def ascend(network, image, target, steps=50, rate=0.1):
    image = image.clone().requires_grad_()
    for _ in range(steps):
        network(image[None])[0, target].backward()
        with torch.no_grad():
            image += rate * image.grad
            image.clamp_(0, 1)
    return image.detach()
