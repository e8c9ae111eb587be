# feedback: expected its proportions kept
# points: 2
def centred(ink):
    rows, columns = np.nonzero(ink > 0.3)
    cut = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    small = shrunk(cut, 20, 20)  # squeezed into a square
    y = (small.sum(axis=1) * np.arange(20)).sum() / small.sum()
    x = (small.sum(axis=0) * np.arange(20)).sum() / small.sum()
    top, left = min(max(round(14 - y), 0), 8), min(max(round(14 - x), 0), 8)
    result = np.zeros((28, 28), np.uint8)
    result[top : top + 20, left : left + 20] = small
    return result
