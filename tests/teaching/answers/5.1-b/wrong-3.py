# feedback: stride 1, padding 2
def output_size(size, kernel, stride=1, padding=0):
    return tuple((s + padding - k) // stride + 1 for s, k in zip(size, kernel))
