def ink_of(image):
    values = np.asarray(image.convert("L"), dtype=np.float64)
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low)
    corners = [scaled[0, 0], scaled[0, -1], scaled[-1, 0], scaled[-1, -1]]
    return 1 - scaled if np.mean(corners) > 0.5 else scaled
