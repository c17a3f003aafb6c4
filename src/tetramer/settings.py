"""From plain data, as a person, a recipe or a card gives it, to a frozen config whose values have the right types."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from tetramer.errors import UserError, nearest

Hint = Any  # an annotation
C = TypeVar("C")


def configured(kind: type[C], settings: Mapping[str, Any]) -> C:
    """A config of dataclass `kind` from names and values, as a person or a card gives them.

    A whole number may stand for a number, one number for several. UserError for a name or a type that is not its own.
    """
    hints, values = get_type_hints(kind), {}
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    for name, value in settings.items():
        if name not in names:
            near = nearest(name, names)
            hint = f" Did you mean {near!r}?" if near else ""
            raise UserError(f"There is no setting {name!r}.{hint} Choose from: {', '.join(sorted(names))}.")
        values[name] = converted(name, value, hints[name])
    return kind(**values)


def converted(name: str, value: object, hint: Hint) -> object:
    """`value` as the annotation `hint` of a config has it: bool, int, float, a text, whole numbers, or a mapping.

    Of `int | None`, None is the default of a number that follows from others.
    """
    if hint == int | None:
        if value is None:
            return value
        hint = int
    if "Mapping" in str(hint):
        if not isinstance(value, Mapping):
            raise UserError(f"The setting {name} is {value!r}; it must be a table of settings.")
        return dict(value)
    if "tuple" in str(hint):
        several = value if isinstance(value, list | tuple) else [value]
        if isinstance(value, str):
            several = [number(part) for part in value.strip("()[]").split(",") if part.strip()]
        if not all(type(item) is int for item in several):
            raise UserError(f"The setting {name} is {value!r}; it must be whole numbers, such as 300 or 300,100.")
        return tuple(several)
    wanted = hint if isinstance(hint, type) else str
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
        raise UserError(f"The setting {name} is {value!r}; it must be {kinds[wanted]}.")
    return value


def number(text: str) -> int | float | bool | str:
    """The text as a whole number, a number, true/false, or itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
