# feedback: each image's own target logit
def my_saliency(network, images, targets):
    images = images.clone().requires_grad_()
    loss = nn.functional.cross_entropy(network(images), targets)
    loss.backward()
    return images.grad.abs().amax(1)
