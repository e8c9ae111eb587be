def ascend(network, image, target, steps=50, rate=0.1):
    x = image.clone()
    for step in range(steps):
        x = x.detach()
        x.requires_grad = True
        score = network(x.unsqueeze(0)).squeeze()[target]
        score.backward()
        with torch.no_grad():
            x = torch.clamp(x + rate * x.grad, min=0.0, max=1.0)
    return x
