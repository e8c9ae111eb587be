def prepare(image):
    grey = opaque(image)
    if max(grey.size) > 200:
        factor = 200 / max(grey.size)
        size = [max(1, round(side * factor)) for side in grey.size]
        grey = grey.resize(size, Image.Resampling.BOX)
    values = np.asarray(grey, dtype=float)
    height, width = values.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    weights = np.ones(values.size)
    for _ in range(15):  # a smooth surface through the ground; ink counts less each time
        rooted = np.sqrt(weights)[:, None]
        surface = np.linalg.lstsq(terms * rooted, values.reshape(-1) * rooted[:, 0], rcond=None)[0]
        rest = values.reshape(-1) - terms @ surface
        weights = 1 / (1 + (rest / 8) ** 2)
    rest = rest.reshape(height, width)
    dark = np.percentile(-rest, 99.5) > np.percentile(rest, 99.5)
    ink = (-rest if dark else rest).clip(0)
    ink = (ink / np.percentile(ink[ink > 0.5 * ink.max()], 40)).clip(0, 1)
    ink = np.where(ink > 0.4, ink, 0)
    rows, columns = np.nonzero(ink > 0)
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    for _ in range(10):
        if stroke_width(ink) >= 0.1 * side:
            break
        padded = np.pad(ink, 1)
        ink = np.max(
            [
                padded[1:-1, 1:-1],
                padded[:-2, 1:-1],
                padded[2:, 1:-1],
                padded[1:-1, :-2],
                padded[1:-1, 2:],
            ],
            axis=0,
        )
    return centred(ink)
