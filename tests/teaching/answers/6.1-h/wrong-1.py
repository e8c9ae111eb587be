# feedback: expected linear and rbf among the kernels
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


def search_svm(vectors, labels):
    grid = {"C": [0.1, 1, 10, 100]}
    search = GridSearchCV(SVC(), grid, cv=3, scoring="f1_macro", n_jobs=1)
    search.fit(vectors, labels)
    return search
