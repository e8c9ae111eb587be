# feedback: expected the search to choose by macro-F1
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


def search_svm(vectors, labels):
    grid = {"kernel": ["linear", "rbf"], "C": [0.1, 1, 10, 100]}
    return GridSearchCV(SVC(), grid, cv=3, n_jobs=1).fit(vectors, labels)
