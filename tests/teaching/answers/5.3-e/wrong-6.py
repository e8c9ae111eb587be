# feedback: each image's own target logit
def my_saliency(network, images, targets):
    images = images.clone().requires_grad_()
    network(images)[:, targets].sum().backward()
    return images.grad.abs().amax(1)
