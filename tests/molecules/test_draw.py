"""Drawings of structures."""

import time
from xml.etree import ElementTree

import pytest

from tetramer.molecules.draw import ACROSS, PLACE, draw, draw_grid

SVG = "{http://www.w3.org/2000/svg}"


def test_ethanol_has_two_bonds_and_a_hydroxyl() -> None:
    drawing = ElementTree.fromstring(draw("CCO") or "")
    kinds = {path.get("class", "").split(" ")[0] for path in drawing.iter(f"{SVG}path")}
    assert {kind for kind in kinds if kind.startswith("bond")} == {"bond-0", "bond-1"}
    assert "atom-2" in kinds  # the OH; the carbons have no label
    assert "atom-0" not in kinds


def test_size_is_as_asked() -> None:
    drawing = ElementTree.fromstring(draw("c1ccccc1", width=300, height=100) or "")
    assert drawing.attrib["viewBox"] == "0 0 300 100"


def test_the_same_structure_gives_the_same_drawing() -> None:
    assert draw("CC(=O)Oc1ccccc1C(=O)O") == draw("CC(=O)Oc1ccccc1C(=O)O")


@pytest.mark.parametrize(
    "text", ["", "C1CC", "xyz", "C\nC", "CCO <script>alert(1)</script>", "C(C)(C)(C)(C)C", "C.O>>CO>C"]
)
def test_what_is_no_structure_has_no_drawing(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert draw(text) is None
    assert capfd.readouterr() == ("", "")


def test_a_reaction_is_drawn_on_both_sides_of_an_arrow() -> None:
    drawing = ElementTree.fromstring(draw("CBr.[OH-]>[Na+]>CO", width=400, height=120) or "")
    assert drawing.attrib["viewBox"] == "0 0 400 120"
    assert draw("CBr.[OH-]>[Na+]>CO") != draw("CBr.[OH-]>>CO") != draw("CBr.[OH-]>>CBr")


def test_a_giant_is_refused_at_once() -> None:
    start = time.perf_counter()
    assert draw("C" * 5000) is None
    assert time.perf_counter() - start < 2


def test_a_sheet_has_a_place_for_every_structure() -> None:
    texts = ["CCO", "C1CC", *["c1ccccc1"] * ACROSS]
    sheet = ElementTree.fromstring(draw_grid(texts, [str(k) for k in range(len(texts))]))
    assert sheet.attrib["viewBox"] == f"0 0 {PLACE[0] * ACROSS} {PLACE[1] * 2}"
    assert ElementTree.fromstring(draw_grid([], [])).attrib["viewBox"] == f"0 0 {PLACE[0]} {PLACE[1]}"
    assert len(draw_grid(["C1CC"], [""])) < len(draw_grid(["CCO"], [""]))


def test_a_sheet_as_png_holds_nothing_but_the_picture() -> None:
    png = draw_grid(["CCO", "CCN"], ["1", "2"], png=True)
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == 2 * 2 * PLACE[0]  # its width: two structures, twice as many pixels
    assert not any(word in png for word in (b"tEXt", b"zTXt", b"rdkit", b"CCO"))
    assert png == draw_grid(["CCO", "CCN"], ["1", "2"], png=True)
