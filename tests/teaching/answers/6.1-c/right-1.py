def largest_change(network, image, first, second, training):
    mode = network.training
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    if training:
        network.train()
    else:
        network.eval()
    logits = []
    for others in (first, second):
        batch = torch.cat([others, image.unsqueeze(0)], dim=0)  # the image last
        logits.append(network(batch).detach()[-1])
    network.load_state_dict(kept)
    network.train(mode)
    return max(abs(one - other) for one, other in zip(logits[0].tolist(), logits[1].tolist()))
