# feedback: with 0 for what was never predicted, saw nan
def macro_f1(confusion):
    right = np.diag(confusion)
    with np.errstate(all="ignore"):
        precision = right / confusion.sum(axis=0)
        recall = right / confusion.sum(axis=1)
        return float(np.mean(2 * precision * recall / (precision + recall)))
