# feedback: expected half of the ink to be about 0.5
def ink_of(image):
    values = np.asarray(image.convert("L"), dtype=np.float64)
    difference = np.abs(values - np.median(values))
    return (difference > 0.3 * difference.max()).astype(float)  # all or nothing
