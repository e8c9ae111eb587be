# feedback: saw that they were on
def count_right(network, loader):
    network.eval()
    return sum(int((network(x).argmax(1) == y).sum()) for x, y in loader)
