# feedback: even a look changes the running statistics
def largest_change(network, image, first, second, training):
    mode = network.training
    network.train(training)
    with torch.no_grad():
        one = network(torch.cat([image[None], first]))[0]
        other = network(torch.cat([image[None], second]))[0]
    network.train(mode)
    return (one - other).abs().max().item()
