# feedback: expected a tensor
def my_feature_maps(network, layer, images):
    found = []
    handle = network.get_submodule(layer).register_forward_hook(lambda m, i, o: found.append(o))
    try:
        with torch.no_grad():
            network(images)
    finally:
        handle.remove()
    return found
