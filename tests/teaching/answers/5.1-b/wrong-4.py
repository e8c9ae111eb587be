# feedback: saw (6.5, 5.5)
def output_size(size, kernel, stride=1, padding=0):
    return tuple((s + 2 * padding - k) / stride + 1 for s, k in zip(size, kernel))
