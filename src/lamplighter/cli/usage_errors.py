"""Messages for a command, an option or a choice that does not exist."""

from __future__ import annotations

import re
from typing import Any

from lamplighter.names import either, near_names

_NO_COMMAND = re.compile(r"No such command '(.*)'\.?")
_NO_CHOICE = re.compile(r"'(.*)' is not one of '")


def told(error: Any) -> str:
    """Return the message of a wrong use, typer's or click's, with the names that may be meant."""
    message: str = error.message if hasattr(error, "option_name") else error.format_message()
    near = _near(error, message)
    if not near or "did you mean" in message:
        return message
    return f"{message.removesuffix('.')}. Did you mean {either(near)}?"


def _near(error: Any, message: str) -> list[str]:
    """Return the commands, options or choices near to the one that was given."""
    if hasattr(error, "option_name"):
        return near_names(error.option_name, _options(error.ctx))
    if (found := _NO_COMMAND.match(message)) is not None:
        return near_names(found[1], getattr(error.ctx.command, "commands", ()))
    kind = getattr(getattr(error, "param", None), "type", None)
    choices = getattr(kind, "choices", ())
    if choices and (found := _NO_CHOICE.match(error.message)) is not None:
        return near_names(found[1], map(str, choices))
    return []


def _options(context: Any) -> list[str]:
    """Return the long options of the command that was called."""
    parameters = [] if context is None else context.command.get_params(context)
    names = [name for one in parameters for name in (*one.opts, *one.secondary_opts)]
    return [name for name in names if name.startswith("--")]
