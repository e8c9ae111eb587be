# feedback: running your answer raised
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


def search_svm(vectors, labels):
    grid = {"kernel": ["linear", "rbf"], "C": [0.1, 1, 10]}
    return GridSearchCV(SVC(), grid, cv=3, scoring="f1_macro", n_jobs=1)
