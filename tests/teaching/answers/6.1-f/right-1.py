def features_of(network, images):
    caught = []
    handle = network.head.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    training = network.training
    network.eval()
    network(images)
    network.train(training)
    handle.remove()
    return caught[0].detach()
