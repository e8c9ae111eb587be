# feedback: count over all batches
def count_right(network, loader):
    network.eval()
    with torch.no_grad():
        for images, labels in loader:
            right = (network(images).argmax(dim=1) == labels).sum().item()
    return right
