"""Arguments of public functions: one line on a wrong one, with what may have been meant.

Python checks the names of arguments as it calls a function, and their types not at all: a wrong
one is told by whatever meets it first, often minutes later.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import os
from inspect import Parameter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from lamplighter.errors import ArgumentTypeError
from lamplighter.names import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_LONG = 60  # letters of a value that a message shows

_P = ParamSpec("_P")
_R = TypeVar("_R")
_C = TypeVar("_C")


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function that refuses wrong arguments before it begins.

    Looked at are the names, and the types of those that are numbers, strings, paths, or true or
    false. What the function raises itself is left as it is.

    Raises:
        ArgumentTypeError: when it is called, of an argument that is unknown, missing, given twice
            or of another type.
    """
    signature = inspect.signature(function)
    kinds = {name: _kinds(parameter) for name, parameter in signature.parameters.items()}

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            raise ArgumentTypeError(_misfit(function, signature, args, kwargs)) from None
        for name, value in bound.arguments.items():
            if kinds[name] and not any(_KINDS[kind][1](value) for kind in kinds[name]):
                wanted = " or ".join(_KINDS[kind][0] for kind in kinds[name])
                raise ArgumentTypeError(
                    f"{name!r} of {_called(function)} must be {wanted}, received "
                    f"{_shown(value)} of type {type(value).__name__}."
                )
        return function(*args, **kwargs)

    return call


def checked_arguments(cls: type[_C]) -> type[_C]:
    """Decorate a class so that its constructor and public methods are `checked`."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if inspect.isfunction(member):
            setattr(cls, name, checked(member))
        elif isinstance(member, (classmethod, staticmethod)):
            setattr(cls, name, type(member)(checked(member.__func__)))
    return cls


def check_further(
    kind: type, arguments: Iterable[str], function: Callable[..., Any], *, filled: Sequence[str]
) -> None:
    """Look whether a function to which a constructor passes arguments on takes them.

    Args:
        kind: the class of the constructor.
        arguments: their names.
        function: what they are passed on to.
        filled: arguments of it that the constructor fills in itself.

    Raises:
        ArgumentTypeError: it does not take one.
    """
    further = [name for name in inspect.signature(function).parameters if name not in filled]
    own = [p.name for p in inspect.signature(kind).parameters.values() if p.kind not in _VARIABLE]
    for name in arguments:
        if name not in further:
            known = [*own, *further]
            raise ArgumentTypeError(
                f"{kind.__name__}() has no argument {name!r}{meant(name, known) or '.'} "
                f"It takes {', '.join(known)}."
            )


def _misfit(
    function: Callable[..., Any],
    signature: inspect.Signature,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> str:
    """Return how the arguments do not fit, in one line."""
    called, parameters = _called(function), list(signature.parameters.values())
    if parameters and parameters[0].name in ("self", "cls"):
        parameters, args = parameters[1:], args[1:]
    named = [p.name for p in parameters if p.kind not in _VARIABLE]
    placed = [p.name for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
    takes = f"It takes {', '.join(named)}." if named else "It takes none."
    for name in kwargs:
        if name not in named:
            return f"{called} has no argument {name!r}{meant(name, named) or '.'} {takes}"
        if name in placed[: len(args)]:
            return f"{called} received {name!r} twice, by its place and by its name. {takes}"
    if len(args) > len(placed):
        return (
            f"{called} takes {len(placed)} arguments without their names, received {len(args)}; "
            f"name the others. {takes}"
        )
    given = {*placed[: len(args)], *kwargs}
    missing = [p.name for p in parameters if p.name in named and p.default is Parameter.empty]
    return f"{called} needs {' and '.join(repr(m) for m in missing if m not in given)}. {takes}"


def _shown(value: object) -> str:
    """Return a value on one short line; of an array its shape."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"an array of shape {tuple(shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def _called(function: Callable[..., Any]) -> str:
    """Return how a function is called: `run()`, or `Trial()` of a constructor."""
    owner, _, name = function.__qualname__.rpartition(".")
    return f"{owner.rpartition('.')[2] if name == '__init__' else name}()"


def _kinds(parameter: Parameter) -> list[str]:
    """Return the kinds of values a parameter takes; none where these are not all known here."""
    if not isinstance(parameter.annotation, str) or parameter.kind in _VARIABLE:
        return []
    kinds = [kind.strip() for kind in parameter.annotation.split("|")]
    return kinds if all(kind in _KINDS for kind in kinds) else []


def _is_number(value: Any) -> bool:
    of_one = getattr(value, "ndim", None) == 0  # an array or a tensor
    return isinstance(value, numbers.Real) or (of_one and not isinstance(value, str))


def _is_whole(value: Any) -> bool:
    return _is_number(value) and float(value).is_integer()


_VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number", _is_whole),
    "float": ("a number", _is_number),
    "bool": ("True or False", lambda value: _is_number(value) and value in (0, 1)),
    "str": ("a string", lambda value: isinstance(value, str)),
    "Path": ("a path", lambda value: isinstance(value, os.PathLike)),
    "None": ("None", lambda value: value is None),
}
