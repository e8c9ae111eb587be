# feedback: expected each row to sum to 1
def softmax(logits):
    shifted = torch.exp(logits - logits.max(dim=0, keepdim=True).values)
    return shifted / shifted.sum(dim=0, keepdim=True)
