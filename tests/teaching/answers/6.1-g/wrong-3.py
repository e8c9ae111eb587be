# feedback: for two vectors at an angle of
def cosine_distances(queries, references):
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    references = references / np.linalg.norm(references, axis=1, keepdims=True)
    return queries @ references.T
