# feedback: expected ink of about 0 on the ground
def ink_of(image):
    values = np.asarray(image.convert("L"), dtype=np.float64)
    return 1 - values / 255
