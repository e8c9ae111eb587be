# feedback: expected the shape (4, 5, 6)
def my_saliency(network, images, targets):
    images = images.clone().requires_grad_()
    network(images)[torch.arange(len(images)), targets].sum().backward()
    return images.grad.abs()
