def centred(ink):
    mask = Image.fromarray((255 * (ink > 0.3)).astype(np.uint8))
    picture = Image.fromarray((255 * ink).astype(np.uint8)).crop(mask.getbbox())
    factor = 20 / max(picture.size)
    size = [max(1, round(side * factor)) for side in picture.size]
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    canvas = np.zeros((28, 28), np.uint8)
    canvas[: picture.height, : picture.width] = np.asarray(picture)
    mass = canvas / canvas.sum()
    down = 14 - (mass * np.arange(28)[:, None]).sum()
    across = 14 - (mass * np.arange(28)[None, :]).sum()
    down = min(max(int(round(down)), 0), 28 - picture.height)
    across = min(max(int(round(across)), 0), 28 - picture.width)
    return np.roll(canvas, (down, across), axis=(0, 1))
