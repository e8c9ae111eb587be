"""Which labs there are, and where their files lie."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from lamplighter.errors import LabError
from lamplighter.names import unknown_name
from lamplighter.teaching.sources import Source, read_source

_ADDRESS = re.compile(r" @ [a-z+]+://")


@dataclass(frozen=True)
class Lab:
    """One lab: its entry in labs.toml.

    Attributes:
        file: name of its files, without the ending.
        minutes: what a learner needs for it.
    """

    id: str
    file: str
    title: str
    summary: str
    minutes: int


@dataclass(frozen=True)
class Catalogue:
    """The labs in a folder that holds labs.toml and src.

    Attributes:
        repository: the teacher's address of Lamplighter, "" where there is none.
        branch: of the repository.
        install: what a notebook installs where Lamplighter is missing, a name with its address;
            "" for nothing, so that no code is fetched from an address that nobody chose.
    """

    folder: Path
    repository: str
    branch: str
    install: str
    labs: tuple[Lab, ...]

    @property
    def present(self) -> tuple[Lab, ...]:
        """The labs whose source is there."""
        return tuple(lab for lab in self.labs if self.source_file(lab).is_file())

    def source_file(self, lab: Lab) -> Path:
        """The source of `lab`."""
        return self.folder / "src" / f"{lab.file}.py"

    def notebook(self, lab: Lab) -> Path:
        """The learner's notebook of `lab`."""
        return self.folder / f"{lab.file}.ipynb"

    def solution(self, lab: Lab) -> Path:
        """The solved notebook of `lab`."""
        return self.folder / "solutions" / f"{lab.file}.ipynb"

    def source(self, lab: Lab) -> Source:
        """Read the source of `lab`."""
        return read_source(self.source_file(lab))

    def lab(self, name: str) -> Lab:
        """Return the lab with that id.

        Raises:
            LabError: there is none, or its source is not there.
        """
        for lab in self.present:
            if lab.id == name:
                return lab
        raise LabError(unknown_name("lab", name, [lab.id for lab in self.present]))


def labs_folder() -> Path:
    """Return where the labs lie: in the package, or in the checkout that it runs from.

    Raises:
        LabError: in neither.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent / "labs", here.parents[3] / "labs"):
        if (folder / "labs.toml").is_file():
            return folder
    raise LabError("this installation of Lamplighter has no labs; install it anew.")


def read_catalogue(folder: Path | None = None) -> Catalogue:
    """Read labs.toml.

    Raises:
        LabError: it is missing or says something else than expected.
    """
    folder = folder or labs_folder()
    file = folder / "labs.toml"
    try:
        content = tomllib.loads(file.read_text("utf-8"))
        labs = tuple(Lab(**entry) for entry in content.get("lab", []))
        repository, branch = str(content["repository"]).rstrip("/"), str(content["branch"])
        install = str(content["install"])
        if repository or "{repository}" not in install:
            install = install.format(repository=repository, branch=branch)
        else:
            install = ""
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LabError(f"{file} cannot be used: {error}.") from error
    if install and _ADDRESS.search(install) is None:
        raise LabError(
            f"{file}: install must be a name with its address, such as 'lamplighter[train] @ "
            f"https://...', received {install!r}; a name alone may fetch somebody else's code."
        )
    return Catalogue(folder, repository, branch, install, labs)
