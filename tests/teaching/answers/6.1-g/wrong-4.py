# feedback: expected shape (3, 5), saw
def cosine_distances(queries, references):
    rows = [
        1 - np.sum(query * references, axis=1).mean() / np.linalg.norm(query) for query in queries
    ]
    return np.array(rows)
