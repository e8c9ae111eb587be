# feedback: when the forward pass raised
# points: 3
def my_feature_maps(network, layer, images):
    caught = []
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, inputs, output: caught.append(output)
    )
    with torch.no_grad():
        network(images)
    handle.remove()
    return caught[0]
