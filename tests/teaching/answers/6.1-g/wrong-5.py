# feedback: expected shape (3, 5), saw (5, 3)
def cosine_distances(queries, references):
    dots = references @ queries.T
    lengths = np.linalg.norm(references, axis=1)[:, None] * np.linalg.norm(queries, axis=1)[None]
    return 1 - dots / lengths
