def macro_f1(confusion):
    scores = []
    for number, row in enumerate(confusion):
        if not sum(row):
            continue
        hits = row[number]
        if hits == 0:
            scores.append(0.0)
            continue
        recall = hits / sum(row)
        precision = hits / sum(other[number] for other in confusion)
        scores.append(2 / (1 / recall + 1 / precision))
    return sum(scores) / len(scores)
