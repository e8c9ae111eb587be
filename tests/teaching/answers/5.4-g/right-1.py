import os
import tempfile


def add_run(path, run):
    line = json.dumps(run, ensure_ascii=False)
    path = Path(path)
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    handle, name = tempfile.mkstemp(dir=path.absolute().parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for one in [*lines, line]:
            print(one, file=file)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
