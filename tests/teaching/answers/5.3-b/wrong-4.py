# feedback: expected that the caller hears
# points: 3
def my_feature_maps(network, layer, images):
    caught = []
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, inputs, output: caught.append(output)
    )
    try:
        with torch.no_grad():
            network(images)
    except Exception as error:
        print("the network failed:", error)
    handle.remove()
    return caught[-1]
