def regularised_score(network, image, target, tv=0.0, l2=0.0):
    score = network(image.unsqueeze(0)).squeeze(0)[target]
    for axis in (-2, -1):
        score = score - tv * torch.diff(image, dim=axis).abs().sum()
    return score - l2 * torch.sum(image * image)
