# feedback: a thin pen
# points: 2
def prepare(image):
    grey = opaque(image)
    grey.thumbnail((256, 256), Image.Resampling.BOX)
    small = grey.resize((64, 64), Image.Resampling.BOX).filter(ImageFilter.MedianFilter(33))
    ground = small.resize(grey.size, Image.Resampling.BICUBIC)
    difference = np.asarray(grey, dtype=float) - np.asarray(ground, dtype=float)
    ink = (difference * np.sign((difference**3).sum())).clip(0)
    ink = (ink / np.median(ink[ink > ink.max() / 2])).clip(0, 1)
    ink[ink < 0.4] = 0
    return centred(ink)  # strokes as thin as they came
