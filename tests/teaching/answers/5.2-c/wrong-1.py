# feedback: chalk of brightness
# points: 1
def ink_of(image):
    values = np.asarray(image.convert("L"), dtype=np.float64)
    ink = 255 - values  # always dark ink on light ground
    ink = ink - ink.min()
    return ink / ink.max()
