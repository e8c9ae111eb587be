# feedback: an image with large logits beside one with small logits
# points: 1
def softmax(logits):
    shifted = torch.exp(logits - logits.max())  # the largest of all images
    return shifted / shifted.sum(dim=1, keepdim=True)
