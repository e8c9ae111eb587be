# feedback: does not reach the best accuracy
def choose(runs):
    runs = [run for run in runs if run["split"] == "val"]
    best = max(runs, key=lambda run: run["accuracy"])
    fit = [run for run in runs if run["high"] >= best["low"]]
    return min(fit, key=lambda run: (run["parameters"], -run["accuracy"]))
