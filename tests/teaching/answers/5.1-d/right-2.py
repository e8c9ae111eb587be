def count_right(network, loader):
    network.eval()
    count = 0
    with torch.inference_mode():
        for x, y in loader:
            count += np.sum(network(x).numpy().argmax(axis=1) == y.numpy())
    return count
