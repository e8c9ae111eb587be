# feedback: that are left
def my_feature_maps(network, layer, images):
    caught = {}

    def hook(module, inputs, output):
        caught["maps"] = output

    network.get_submodule(layer).register_forward_hook(hook)
    with torch.no_grad():
        network(images)
    return caught["maps"]
