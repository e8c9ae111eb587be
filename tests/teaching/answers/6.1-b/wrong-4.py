# feedback: expected one number for all classes
def macro_f1(confusion):
    right = np.diag(confusion)
    f1 = 2 * right / (confusion.sum(0) + confusion.sum(1))
    return f1
