"""Programs of Python that run as if packages were not installed, whatever is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


class _Without:
    """A finder that does not find some packages, as where they are not installed.

    `sys.modules[name] = None` would do for an import, but whoever looks into `sys.modules` takes
    the package for imported, and its version is still told.
    """

    def __init__(self, finder, absent):
        self._finder, self._absent = finder, absent

    def __getattr__(self, name):
        return getattr(self._finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self._absent:
            return None
        return self._finder.find_spec(name, path, target)

    def find_distributions(self, context):
        if (context.name or "").replace("-", "_") in self._absent:
            return iter(())
        find = getattr(self._finder, "find_distributions", lambda _: iter(()))
        return find(context)


def hide(*packages: str) -> None:
    """Let this process find none of `packages`, none of which it has imported."""
    imported = [name for name in packages if name in sys.modules]
    assert not imported, f"already imported: {imported}"
    sys.meta_path[:] = [_Without(finder, packages) for finder in sys.meta_path]


def run_without(*packages: str, code: str, **variables: str) -> str:
    """Return what a program prints in a process of its own that finds none of `packages`.

    Args:
        packages: names of modules that are to be absent, such as "torch".
        code: the program; it must not fail, nor print to stderr.
        variables: of its environment, beside those of this process.
    """
    absent = f"from tests.absent_packages import hide\nhide(*{packages!r})\n"
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", absent + code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **variables},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout
