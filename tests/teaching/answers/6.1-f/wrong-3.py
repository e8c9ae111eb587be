# feedback: expected the features in evaluation mode
def features_of(network, images):
    with torch.no_grad():
        return network.backbone(images)
