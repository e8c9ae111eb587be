# feedback: chalk on a board
# points: 2
def prepare(image):
    grey = opaque(image)
    grey.thumbnail((256, 256), Image.Resampling.BOX)
    small = grey.resize((64, 64), Image.Resampling.BOX).filter(ImageFilter.MedianFilter(33))
    ground = np.asarray(small.resize(grey.size, Image.Resampling.BICUBIC), dtype=float)
    ink = (ground - np.asarray(grey, dtype=float)).clip(0)  # always darker than the ground
    ink = ink / max(ink.max(), 1)
    ink[ink < 0.4] = 0
    rows, columns = np.nonzero(ink)
    wanted = 0.11 * (1 + max(np.ptp(rows), np.ptp(columns)))
    while stroke_width(ink) < wanted:
        picture = Image.fromarray((255 * ink).astype(np.uint8))
        ink = np.asarray(picture.filter(ImageFilter.MaxFilter(3))) / 255
    return centred(ink)
