# feedback: expected a longer side of 20 pixels
def centred(ink):
    scale = 20 / max(ink.shape)  # the whole picture, nothing cut out
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    result = np.zeros((28, 28), np.uint8)
    top, left = (28 - height) // 2, (28 - width) // 2
    result[top : top + height, left : left + width] = shrunk(ink, height, width)
    return result
