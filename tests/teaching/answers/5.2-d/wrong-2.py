# feedback: expected its centre of mass
# points: 2
def centred(ink):
    rows, columns = np.nonzero(ink > 0.3)
    cut = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = 20 / max(cut.shape)
    height, width = (max(1, round(side * scale)) for side in cut.shape)
    top, left = (28 - height) // 2, (28 - width) // 2  # the middle of the box
    result = np.zeros((28, 28), np.uint8)
    result[top : top + height, left : left + width] = shrunk(cut, height, width)
    return result
