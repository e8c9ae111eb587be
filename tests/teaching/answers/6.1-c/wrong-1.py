# feedback: in training mode, for a network that came in the other mode
def largest_change(network, image, first, second, training):
    with torch.no_grad():
        one = network(torch.cat([image.unsqueeze(0), first]))[0]
        other = network(torch.cat([image.unsqueeze(0), second]))[0]
    return (one - other).abs().max().item()
