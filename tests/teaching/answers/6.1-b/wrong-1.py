# feedback: which is the mean recall
def macro_f1(confusion):
    return float(np.mean(np.diag(confusion) / confusion.sum(axis=1)))
