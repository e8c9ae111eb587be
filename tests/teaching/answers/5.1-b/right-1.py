def output_size(size, kernel, stride=1, padding=0):
    found = []
    for side, length in zip(size, kernel):
        side = side + padding + padding
        found.append(len(range(0, side - length + 1, stride)))
    return found
