# feedback: saw the old file written into
# points: 1
def add_run(path, run):
    line = json.dumps(run)
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
