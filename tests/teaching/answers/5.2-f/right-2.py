def softmax(logits):
    rows = []
    for row in logits.double():
        powers = (row - row.max()).exp()
        rows.append(powers / powers.sum())
    return torch.stack(rows).float()
