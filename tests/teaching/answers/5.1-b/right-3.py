def output_size(size, kernel, stride=1, padding=0):
    left = np.array(size) + 2 * padding - np.array(kernel)
    return tuple(np.floor(left / stride).astype(int) + 1)
