def choose(runs):
    runs = sorted(
        (run for run in runs if run["split"] == "val"),
        key=lambda run: run["accuracy"],
        reverse=True,
    )
    chosen = runs[0]
    for run in runs[1:]:
        if run["high"] >= runs[0]["accuracy"] and run["parameters"] < chosen["parameters"]:
            chosen = run
    return chosen
