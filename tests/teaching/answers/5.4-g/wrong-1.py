# feedback: after 2 runs expected 2 lines
# points: 2
def add_run(path, run):
    beside = Path(f"{path}.new")
    beside.write_text(json.dumps(run) + "\n", encoding="utf-8")
    beside.replace(path)
