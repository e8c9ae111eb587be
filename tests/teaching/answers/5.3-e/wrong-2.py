# feedback: saw those of the most probable classes
def my_saliency(network, images, targets):
    images = images.clone().requires_grad_()
    scores = network(images).amax(1)
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    return gradient.abs().amax(1)
