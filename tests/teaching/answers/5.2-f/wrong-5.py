# feedback: large and small logits of one image
# points: 1
def softmax(logits):
    shifted = torch.exp(logits - logits.mean(dim=1, keepdim=True))  # not the largest
    return shifted / shifted.sum(dim=1, keepdim=True)
