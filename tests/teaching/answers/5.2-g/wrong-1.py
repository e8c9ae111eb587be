# feedback: ink in uneven light
# points: 2
def prepare(image):
    return centred(ink_of(opaque(image)))  # the steps as they were
