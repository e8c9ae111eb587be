# feedback: saw scoring='f1'
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


def search_svm(vectors, labels):
    grid = {"kernel": ["linear", "rbf"], "C": [0.1, 1, 10]}
    s = GridSearchCV(SVC(), grid, scoring="f1", cv=3, n_jobs=1)
    s.fit(vectors, labels)
    return s
