def regularised_score(network, image, target, tv=0.0, l2=0.0):
    picture = image[0]
    height, width = picture.shape
    below = torch.abs(picture[: height - 1] - picture[1:])
    beside = torch.abs(picture[:, : width - 1] - picture[:, 1:])
    penalty = tv * (torch.sum(below) + torch.sum(beside)) + l2 * torch.sum(picture**2)
    return network(image.reshape(1, 1, height, width)).flatten()[target] - penalty
