def cosine_distances(queries, references):
    one, other = torch.as_tensor(queries), torch.as_tensor(references)
    return (1 - nn.functional.cosine_similarity(one[:, None], other[None], dim=2)).numpy()
