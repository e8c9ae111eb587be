from contextlib import contextmanager


@contextmanager
def watching(layer):
    seen = {}

    def remember(module, inputs, output):
        seen["output"] = output.clone()

    handle = layer.register_forward_hook(remember)
    try:
        yield seen
    finally:
        handle.remove()


def my_feature_maps(network, layer, images):
    with watching(dict(network.named_modules())[layer]) as seen, torch.inference_mode():
        network(images)
    return seen["output"].clone()
