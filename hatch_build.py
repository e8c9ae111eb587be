"""The project's addresses for its metadata, which follow from the one in labs/labs.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class AddressHook(MetadataHookInterface):
    """Give `urls` where the repository has an address; it has none until somebody sets it."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the addresses into `metadata`."""
        labs = tomllib.loads((Path(self.root) / "labs" / "labs.toml").read_text("utf-8"))
        repository, branch = str(labs["repository"]).rstrip("/"), str(labs["branch"])
        if not repository:
            metadata["urls"] = {}
            return
        metadata["urls"] = {
            "Source": repository,
            "Documentation": f"{repository}/tree/{branch}/docs",
            "Changelog": f"{repository}/blob/{branch}/CHANGELOG.md",
            "Issues": f"{repository}/issues",
        }
