# feedback: expected the shape
# points: 1
def my_feature_maps(network, layer, images):
    caught = []
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, inputs, output: caught.append(inputs[0])
    )
    try:
        with torch.no_grad():
            network(images)
    finally:
        handle.remove()
    return caught[0]
