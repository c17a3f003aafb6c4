"""What a person at a terminal sees and types: messages, progress, one SMILES in place of a file."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def say(text: str) -> None:
    """A message: standard error, so that data on standard output stay clean."""
    print(text, file=sys.stderr)


@contextmanager
def quiet_end() -> Iterator[None]:
    """The end, without a word, if whoever reads our standard output goes: what `head` has not read nobody wants."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing is left to fail when Python flushes
        raise SystemExit(0) from None


@contextmanager
def one_smiles(data: str, column: str | None = None) -> Iterator[tuple[str, str | None]]:
    """DATA that is no file but reads as one SMILES or reaction becomes a file of one row; anything else stays as it is.

    Beside it stands the column of structures that is named, None for the file of one row. What is neither a file nor,
    by its ending, the name of one, is told to be no SMILES either.
    """
    from tetramer.datasets.opening import ENDINGS, existing
    from tetramer.errors import UserError

    if data == "-" or os.path.lexists(data) or not reads_as_structure(data.strip()):
        if data.strip() not in ("", "-") and not data.casefold().removesuffix(".gz").endswith(tuple(ENDINGS)):
            if data.strip().startswith("InChI="):
                raise UserError(f"{data.strip()!r} is an InChI. Give the molecule as SMILES.")
            try:
                existing(data)
            except UserError as error:
                raise UserError(f"{error} It does not read as one SMILES either.") from error
        yield data, column
        return
    with tempfile.TemporaryDirectory(prefix="tetramer-") as folder:
        path = Path(folder) / "one.csv"
        path.write_text(f'smiles\n"{data.strip()}"\n')
        yield str(path), None


def reads_as_structure(text: str) -> bool:
    """Whether a text has the letters and signs of a SMILES or, with two arrows `>`, of a reaction."""
    from tetramer.datasets.records import SMILES_TEXT
    from tetramer.molecules.reactions import ROLES, parts_of

    parts = parts_of(text)
    return len(parts) in (1, len(ROLES)) and all(
        re.match(SMILES_TEXT, part) for part in parts if part or len(parts) == 1
    )


class Bar:
    """Progress on a terminal; silent elsewhere."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.shares: dict[str, float] = {}

    def __enter__(self) -> "Bar":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn(),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, name: str, share: float) -> None:
        """A named part of the work is done to a share."""
        if self.bar is None:
            return
        if name not in self.shares:
            self.shares[name] = self.bar.add_task(name, total=1.0, note="")
        self.bar.update(self.shares[name], completed=share, note=f"{share:.0%}")
        if share >= 1:
            self.bar.update(self.shares[name], visible=False)

    def rows(self, done: int) -> None:
        """So many rows are done, of a number nobody knows yet."""
        if self.bar is None:
            return
        if "rows" not in self.shares:
            self.shares["rows"] = self.bar.add_task("rows", total=None, note="")
        self.bar.update(self.shares["rows"], note=f"{done:,}")
