from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer


def search_svm(vectors, labels):
    pipe = Pipeline([("norm", Normalizer()), ("svm", SVC())])
    grid = {"svm__kernel": ["linear", "rbf"], "svm__C": [1, 10, 100]}
    return GridSearchCV(pipe, grid, scoring="f1_macro", cv=3, n_jobs=1).fit(vectors, labels)
