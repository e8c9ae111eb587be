def ascend(network, image, target, steps=50, rate=0.1):
    moving = nn.Parameter(image.clone())
    climber = torch.optim.SGD([moving], lr=rate, maximize=True)
    for _ in range(steps):
        climber.zero_grad()
        network(moving.unsqueeze(0))[:, target].sum().backward()
        climber.step()
        moving.data.clamp_(0, 1)
    return moving.data
