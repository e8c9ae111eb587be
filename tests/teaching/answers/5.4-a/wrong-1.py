# feedback: expected a ValueError for the sum
def merge(maps, how):
    if how == "concatenate":
        return torch.cat(maps, dim=1)
    return sum(maps)
