# feedback: the largest difference over the classes
def largest_change(network, image, first, second, training):
    net = copy.deepcopy(network)
    net.train(training)
    a = net(torch.cat((image[None], first)))[0]
    b = net(torch.cat((image[None], second)))[0]
    return (a - b).abs().mean()
