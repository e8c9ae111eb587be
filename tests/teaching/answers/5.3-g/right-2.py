@torch.no_grad()
def deletion(network, image, target, importance, steps=16):
    height, width = importance.shape
    share = height * width // steps
    picture = image.clone()
    curve = [torch.softmax(network(picture[None])[0], 0)[target].item()]
    ranking = torch.sort(importance.reshape(-1), descending=True).indices
    for part in ranking.split(share):
        picture[:, part // width, part % width] = 0
        curve.append(torch.softmax(network(picture[None])[0], 0)[target].item())
    return curve
