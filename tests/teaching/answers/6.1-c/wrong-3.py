# feedback: the largest difference over the classes for `image` alone
def largest_change(network, image, first, second, training):
    network = copy.deepcopy(network).train(training)
    with torch.no_grad():
        one = network(torch.cat([image[None], first]))[0]
        other = network(torch.cat([image[None], second]))[0]
    return float((one - other).max())
