# feedback: count over all batches, and no share
def count_right(network, loader):
    network.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (network(x).argmax(dim=1) == y).sum().item()
            total += len(y)
    return 100 * right / total
