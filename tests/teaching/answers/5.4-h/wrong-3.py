# feedback: that is not the most accurate of them
def choose(runs):
    runs = [run for run in runs if run["split"] == "val"]
    best = max(run["accuracy"] for run in runs)
    fit = [run for run in runs if run["high"] >= best]
    return min(fit, key=lambda run: run["parameters"])
