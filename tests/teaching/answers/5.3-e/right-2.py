def my_saliency(network, images, targets):
    pixels = images.clone()
    pixels.requires_grad = True
    logits = network(pixels)
    ones = nn.functional.one_hot(torch.as_tensor(targets), logits.shape[1]).to(logits.dtype)
    logits.backward(gradient=ones)
    return torch.linalg.vector_norm(pixels.grad, ord=float("inf"), dim=1)
