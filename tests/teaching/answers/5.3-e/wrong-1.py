# feedback: without a sign
def my_saliency(network, images, targets):
    images = images.clone().requires_grad_()
    scores = network(images).gather(1, targets[:, None])
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    return gradient.amax(1)
