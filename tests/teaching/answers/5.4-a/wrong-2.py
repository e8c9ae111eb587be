# feedback: expected shape
def merge(maps, how):
    if how == "concatenate":
        return torch.cat(maps)
    for one in maps:
        if one.shape != maps[0].shape:
            raise ValueError("shapes differ")
    return sum(maps)
