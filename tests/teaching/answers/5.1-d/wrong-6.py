# feedback: expected the network that is given to be asked
def count_right(network, loader):
    network.eval()
    right = 0
    with torch.no_grad():
        for batch, answers in loader:
            right += (model(batch).argmax(dim=1) == answers).sum().item()
    return right
