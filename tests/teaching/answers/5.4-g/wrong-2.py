# feedback: cannot be written as JSON
# points: 1
def add_run(path, run):
    with Path(path).open("a", encoding="utf-8") as file:
        json.dump(run, file)
        file.write("\n")
