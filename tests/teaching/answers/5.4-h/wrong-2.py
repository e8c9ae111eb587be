# feedback: larger than another which may be as good
def choose(runs):
    runs = [run for run in runs if run["split"] == "val"]
    return max(runs, key=lambda run: run["accuracy"])
