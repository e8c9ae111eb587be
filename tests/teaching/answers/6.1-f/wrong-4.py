# feedback: expected a tensor of PyTorch, saw ndarray
def features_of(network, images):
    network.eval()
    with torch.no_grad():
        return network.backbone(images).numpy()
