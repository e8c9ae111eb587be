"""What a request asks beside its images: parameters in its address or its form, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamplighter.names import suggestion
from lamplighter.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

_YES = {"true": True, "1": True, "yes": True, "": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Parameters:
    """Parameters by name.

    Args:
        values: as they were given.

    Raises:
        Refusal: one is not known, or given twice.
    """

    values: Mapping[str, str]

    @classmethod
    def of(
        cls, request: Request, known: Sequence[str], fields: Mapping[str, str] | None = None
    ) -> Parameters:
        """Return the parameters in the address of a request, and in the fields of its form.

        Raises:
            Refusal: one is not among the `known`, or given twice.
        """
        given = [*request.query_params.multi_items(), *(fields or {}).items()]
        values: dict[str, str] = {}
        for name, value in given:
            if name not in known:
                told = suggestion(name, known, opening="there is")
                raise Refusal(400, f"there is no parameter {name[:100]!r}; {told}")
            if name in values:
                raise Refusal(400, f"the parameter {name!r} is given twice; give it once.")
            values[name] = value
        return cls(values)

    def text(self, name: str) -> str | None:
        """Return a parameter as it was given; None without it."""
        return self.values.get(name)

    def whole(self, name: str, default: int, *, most: int = 10**6) -> int:
        """Return a whole number of at least 1.

        Raises:
            Refusal: it is none, or more than `most`.
        """
        value = self.values.get(name)
        if value is None:
            return default
        if not (
            value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= most
        ):
            raise Refusal(
                400, f"{name} must be a whole number in 1..{most}, received {value[:100]!r}."
            )
        return int(value)

    def flag(self, name: str) -> bool:
        """Return whether a parameter is set.

        Raises:
            Refusal: it is neither true nor false.
        """
        value = self.values.get(name, "false")
        if value.lower() not in _YES:
            raise Refusal(400, f"{name} must be true or false, received {value[:100]!r}.")
        return _YES[value.lower()]
