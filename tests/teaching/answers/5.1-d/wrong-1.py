# feedback: saw training mode
def count_right(network, loader):
    right = 0
    with torch.no_grad():
        for images, labels in loader:
            right += (network(images).argmax(dim=1) == labels).sum().item()
    return right
