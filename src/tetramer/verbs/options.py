"""Flags that several verbs share."""

from typing import Annotated

from typer import Option

from tetramer.errors import UserError

Smiles = Annotated[
    str | None, Option(help="column of SMILES, or of reactions; LEFT,RIGHT for two; found by name if absent")
]
Workers = Annotated[int | None, Option(help="worker processes; 0: none, all in this process [default: one a core]")]
Json = Annotated[bool, Option("--json", help="print the outcome as JSON")]
Output = Annotated[str, Option("--output", "-o", help="CSV or Parquet file; - is standard output")]
Set = Annotated[list[str] | None, Option("--set", metavar="<str>", help="a setting, as in training.epochs=20")]
OnError = Annotated[str, Option(help="rows that cannot be read: keep, skip or fail")]
Salts = Annotated[str, Option(help="keep, or largest: the largest organic fragment")]
Charges = Annotated[str, Option(help="keep, or neutral: remove charges that protons can remove")]
Tautomers = Annotated[str, Option(help="keep, or canonical: RDKit's canonical tautomer")]
NoStructures = Annotated[bool, Option("--no-structures", help="no drawings and no SMILES in the report")]


def json_alone(as_json: bool, output: str) -> None:
    """UserError where rows and the outcome as JSON would both stand on standard output."""
    if as_json and output == "-":
        raise UserError(
            "--json tells the outcome on standard output, where the rows would stand: name a file with --output."
        )


def overrides_of(settings: list[str]) -> dict[str, str]:
    """["a=b"] → {"a": "b"}."""
    return pairs_of("--set", settings, "key=value, such as training.epochs=20")


def starts_of(starts: list[str]) -> tuple[tuple[str, str], ...]:
    """["graph=folder"] → (("graph", "folder"),)."""
    return tuple(pairs_of("--from", starts, "RECIPE=FOLDER, such as graph+smiles=encoder").items())


def pairs_of(flag: str, texts: list[str], how: str) -> dict[str, str]:
    """What stands before and behind each first =. UserError for a text without one."""
    wrong = next((text for text in texts if "=" not in text), None)
    if wrong is not None:
        raise UserError(f"{flag} {wrong}: write it as {how}.")
    parts = [text.partition("=") for text in texts]
    return {key.strip(): value.strip() for key, _, value in parts}
