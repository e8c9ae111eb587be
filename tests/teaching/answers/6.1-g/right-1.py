def cosine_distances(queries, references):
    distances = np.empty((len(queries), len(references)))
    for row, query in enumerate(queries):
        for column, reference in enumerate(references):
            lengths = np.sqrt(np.sum(query**2)) * np.sqrt(np.sum(reference**2))
            distances[row, column] = 1 - np.dot(query, reference) / lengths
    return distances
