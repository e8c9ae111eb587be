# feedback: saw (25, 15)
def output_size(size, kernel, stride=1, padding=0):
    return tuple((s + 2 * padding - k) // stride for s, k in zip(size, kernel))
