# feedback: expected the formula written out
# points: 1
def softmax(logits):
    return torch.softmax(logits, dim=1)
