# feedback: expected three values of C or more, saw 1
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


def search_svm(vectors, labels):
    grid = {"kernel": ["linear", "rbf"], "C": [1]}
    return GridSearchCV(SVC(), grid, cv=3, scoring="f1_macro").fit(vectors, labels)
