from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def search_svm(vectors, labels):
    machine = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
    grid = {
        "svc__kernel": ["linear", "rbf"],
        "svc__C": np.logspace(-1, 2, 4),
        "svc__gamma": ["scale", "auto"],
    }
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    scorer = make_scorer(f1_score, average="macro")
    search = GridSearchCV(machine, grid, cv=folds, scoring=scorer, n_jobs=1)
    search.fit(vectors, labels)
    return search
