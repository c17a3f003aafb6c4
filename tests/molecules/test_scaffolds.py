"""Scaffolds: exact answers, and a way out for what RDKit is slow at."""

import time

import pytest

from tetramer.errors import UserError
from tetramer.molecules import scaffold, scaffolds


@pytest.mark.parametrize(
    "text, chirality, expected",
    [
        ("CCO", False, ""),
        ("CCc1ccccc1", False, "c1ccccc1"),
        ("c1ccccc1CCC1CC1O", False, "c1ccc(CCC2CC2)cc1"),
        ("O=C1CCCN1C", False, "O=C1CCCN1"),
        ("C[C@H]1CCN[C@@H]1c1ccccc1", False, "c1ccc(C2CCCN2)cc1"),
        ("C[C@H]1CCN[C@@H]1c1ccccc1", True, "c1ccc([C@@H]2CCCN2)cc1"),
        ("[CH3:7]c1cc[cH:3]cc1", False, "c1ccccc1"),
    ],
)
def test_exact_scaffolds(text: str, chirality: bool, expected: str) -> None:
    assert scaffold(text, chirality) == expected


def test_a_list_keeps_its_order_and_bad_text_is_told() -> None:
    assert scaffolds(["CC", "C1CC1C", "CC"]) == ["", "C1CC1", ""]
    with pytest.raises(UserError, match="'C1CC' cannot be read"):
        scaffolds(["CC", "C1CC"])


def test_long_chains_are_their_own_scaffold_at_once() -> None:
    began = time.monotonic()
    assert scaffold("C" * 900) == "C" * 900
    assert scaffold("C1CC1" + "C" * 900) == "C" * 900 + "C1CC1"
    assert time.monotonic() - began < 2


def test_rdkit_says_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """It warns of a hydrogen alone, and of what it cannot read."""
    assert scaffolds(["[H+].CC", "[H].C1CC1C"]) == ["", "C1CC1"]
    with pytest.raises(UserError):
        scaffold("C1CC")
    assert capfd.readouterr().err == ""
