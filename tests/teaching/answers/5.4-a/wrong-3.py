# feedback: to stay as they are
def merge(maps, how):
    if how == "sum":
        total = maps[0]
        for other in maps[1:]:
            if other.shape != total.shape:
                raise ValueError("shapes differ")
            total += other
        return total
    return torch.cat(maps, 1)
