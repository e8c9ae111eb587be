# feedback: for two vectors at an angle of
def cosine_distances(queries, references):
    queries = queries / np.linalg.norm(queries)
    references = references / np.linalg.norm(references)
    return 1 - queries @ references.T
