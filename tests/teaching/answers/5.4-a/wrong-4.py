# feedback: saw RuntimeError
def merge(maps, how):
    if how == "concatenate":
        return torch.cat(maps, dim=1)
    return torch.stack(maps).sum(dim=0)  # refuses other shapes, with an error of its own
