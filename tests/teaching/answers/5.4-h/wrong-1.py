# feedback: measured on other images than the validation images
def choose(runs):
    best = max(run["accuracy"] for run in runs)
    fit = [run for run in runs if run["high"] >= best]
    return min(fit, key=lambda run: (run["parameters"], -run["accuracy"]))
