# feedback: expected 1 lines, each with its line break
# points: 2
def add_run(path, run):
    path = Path(path)
    text = path.read_text("utf-8") if path.exists() else ""
    beside = path.with_suffix(".tmp")
    beside.write_text(text + json.dumps(run), "utf-8")
    os.replace(beside, path)
