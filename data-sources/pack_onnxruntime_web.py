"""Write src/lamplighter/webpage/onnxruntime_web from the npm package onnxruntime-web, unpacked.

    python data-sources/pack_onnxruntime_web.py package

The program is packed as a page holds it, so that making a page need not pack 14 MB each time.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import shutil
from pathlib import Path

import onnxruntime

TARGET = Path(__file__).parents[1] / "src" / "lamplighter" / "webpage" / "onnxruntime_web"
SCRIPT, PROGRAM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
NOTICES = "ThirdPartyNotices.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="the folder of the npm package")
    package = parser.parse_args().package
    licenses = Path(onnxruntime.__file__).parent
    TARGET.mkdir(exist_ok=True)
    shutil.copyfile(package / "dist" / SCRIPT, TARGET / SCRIPT)
    shutil.copyfile(licenses / "LICENSE", TARGET / "LICENSE")
    for source in (package / "dist" / PROGRAM, licenses / NOTICES):
        packed = gzip.compress(source.read_bytes(), 9, mtime=0)
        (TARGET / f"{source.name}.gz").write_bytes(packed)
    for path in sorted(TARGET.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")


if __name__ == "__main__":
    main()
