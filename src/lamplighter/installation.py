"""Where this Lamplighter was installed from, and so how more of it is installed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any


def install_command(extras: str = "train") -> str:
    """Return what installs optional parts from where this Lamplighter came from.

    Never by its name alone: on a package index that name may be somebody else's. The place is the
    folder that it runs from, or what the installer noted (PEP 610); where neither is known, the
    answer says what is to be put in its place.

    Args:
        extras: names of optional parts, with commas between.
    """
    requirement = _requirement(extras)
    if requirement is not None:
        return f"pip install {shlex.quote(requirement)}"
    return (
        f"pip install '.[{extras}]' in the folder of Lamplighter's source, or "
        f"pip install 'FILE.whl[{extras}]' with the file that it was installed from"
    )


def _requirement(extras: str) -> str | None:
    folder = Path(__file__).resolve().parents[2]
    if (folder / "pyproject.toml").is_file() and (folder / "src" / "lamplighter").is_dir():
        return f"{folder}[{extras}]"
    noted = _noted()
    place = noted.get("url")
    if not isinstance(place, str):
        return None
    if place.startswith("file:"):
        path = _local(place)
        return f"{path}[{extras}]" if path.exists() else None
    version = noted.get("vcs_info")
    if isinstance(version, dict):
        place = f"{version.get('vcs')}+{place}@{version.get('commit_id')}"
    return f"lamplighter[{extras}] @ {place}"


def _noted() -> dict[str, Any]:
    """Return the origin that the installer noted, {} where there is no note."""
    import json
    from importlib import metadata

    try:
        noted = json.loads(metadata.distribution("lamplighter").read_text("direct_url.json") or "")
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _local(address: str) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(address).path))
