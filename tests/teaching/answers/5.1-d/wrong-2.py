# feedback: count over all batches, and no share
def count_right(network, loader):
    network.eval()
    shares = []
    with torch.no_grad():
        for images, labels in loader:
            shares.append((network(images).argmax(dim=1) == labels).float().mean().item())
    return sum(shares) / len(shares)
