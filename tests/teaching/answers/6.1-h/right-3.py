from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


def search_svm(vectors, labels):
    grid = {"kernel": ["linear", "rbf"], "C": [0.001, 0.01, 0.1]}
    return GridSearchCV(SVC(), grid, scoring="f1_macro", cv=3, n_jobs=1).fit(vectors, labels)
