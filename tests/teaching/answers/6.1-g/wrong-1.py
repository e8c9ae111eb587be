# feedback: for two vectors at an angle of
def cosine_distances(queries, references):
    return 1 - queries @ references.T
