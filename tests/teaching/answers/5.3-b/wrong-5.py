# feedback: expected the shape
def my_feature_maps(network, layer, images):
    found = []
    handle = network.get_submodule(layer).register_forward_hook(lambda m, i, o: found.append(o))
    try:
        with torch.no_grad():
            return network(images)
    finally:
        handle.remove()
