"""The pinned environment holds what the project asks for, and names no place to fetch it from."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def plain(name: str) -> str:
    """One spelling per package, as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).casefold()


def pinned() -> dict[str, str]:
    lines = [line for line in PINS.splitlines() if line and not line.startswith("#")]
    pairs = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines]
    assert None not in pairs, "every line is NAME==VERSION, without a local suffix, an option or an address"
    return {plain(pair[1]): pair[2] for pair in pairs if pair}


def test_every_dependency_is_pinned() -> None:
    asked = PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        asked += extra
    names = {plain(re.match(r"[\w.-]+", line)[0]) for line in asked}  # type: ignore[index]
    assert names <= set(pinned())


def test_the_versions_that_numbers_depend_on() -> None:
    assert (pinned()["torch"], pinned()["rdkit"]) == ("2.13.0", "2026.9.1")


def test_no_address_is_named() -> None:
    text = PINS + (ROOT / "Makefile").read_text(encoding="utf-8") + (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"https?:|index-url|find-links", text) == []
