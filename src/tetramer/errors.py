"""Errors a person can mend, and the lookup that raises one."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

V = TypeVar("V")


class UserError(Exception):
    """The input is wrong and a person can mend it.

    The message says what was found, what was expected and what to do. The command line prints it without a
    traceback and exits with `exit_code`.
    """

    exit_code = 2


class DiskError(UserError):
    """The disk refused a write: full, read-only, or not permitted. What was there before is intact."""

    exit_code = 74


class Stopped(Exception):
    """A signal asked the run to stop; its state is saved. `signal` is the signal's number."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"stopped by signal {signal}")
        self.signal = signal


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice a person most likely meant: spelt alike, or the only one that contains it; case does not matter."""
    folded = {choice.casefold(): choice for choice in choices}
    holding = [choice for low, choice in folded.items() if name.casefold() in low] if name else []
    if len(holding) == 1:
        return holding[0]
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return folded[near[0]] if near else None


def pick(table: Mapping[str, V], name: str, what: str) -> V:
    """`table[name]`, or a UserError that lists the choices."""
    if name in table:
        return table[name]
    near = nearest(name, table)
    hint = f" Did you mean {near!r}?" if near else ""
    raise UserError(f"There is no {what} named {name!r}.{hint} Choose from: {', '.join(sorted(table))}.")
