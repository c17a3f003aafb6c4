"""Tables of motifs: a row for a row, and a page that shows them."""

import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tetramer import decomposition, shards
from tetramer.benchmark import motif_page
from tetramer.datasets.tables import read_table
from tetramer.errors import UserError
from tetramer.molecules import Limits, Standard
from tetramer.molecules.draw import GROUNDS, draw, draw_motifs, hexadecimal
from tetramer.views import Reader

ROWS = ["CC(=O)Oc1ccccc1C(=O)O,aspirin", "C1CC,open", "[Na+].[Cl-],salt", ",none", "CCCCOCC,ether"]
CODES = ["ok", "PARSE", "ok", "EMPTY", "ok"]


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "in.csv").write_text("\n".join(["smiles,motifs", *ROWS]) + "\n")
    return str(tmp_path / "in.csv")


def run(source: str, output: Path | str, workers: int = 0, rows: int = 1_000, on_error: str = "keep") -> shards.Counts:
    job = replace(decomposition.job(source, str(output), Standard(), on_error=on_error), rows=rows)
    with Reader(limits=Limits(workers)) as reader:
        return shards.apply(job, reader)


def test_csv_has_a_row_for_every_row(table: str, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert run(table, out) == shards.Counts(5, {"ok": 3, "PARSE": 1, "EMPTY": 1})
    told = read_table(out).data
    assert told.column_names == [
        *("smiles", "motifs_input", "canonical_smiles", "motifs", "motif_count", "status", "reason")
    ]
    assert told["status"].to_pylist() == CODES
    assert told["motif_count"].to_pylist() == ["4", "", "2", "", "3"]
    assert told["motifs"].to_pylist() == [
        "1 *C(=O)O; 1 *C(C)=O; 1 *O*; 1 *c1ccccc1*",
        "",
        "1 [Cl-]; 1 [Na+]",
        "",
        "1 *CC; 1 *CCCC; 1 *O*",
    ]


def test_parquet_says_which_atom_is_where(table: str, tmp_path: Path) -> None:
    run(table, out := tmp_path / "out.parquet")
    told = pq.read_table(out)
    rows = told.to_pylist()
    assert rows[0]["motifs"] == ["*C(C)=O", "*O*", "*c1ccccc1*", "*C(=O)O"]
    assert rows[0]["atom_motifs"] == [0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3]
    assert [row["motifs"] is None and row["atom_motifs"] is None for row in rows] == [
        code[:2] != "ok" for code in CODES
    ]
    assert told.schema.field("atom_motifs").type == pa.list_(pa.uint16())
    assert told["motif_count"].to_pylist() == [4, None, 2, None, 3]


def test_workers_and_shards_do_not_change_a_byte(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("\n".join(["smiles", *(f"{'C' * (k % 5)}c1ccccc1OC" for k in range(21)), "C1CC"]) + "\n")
    made = []
    for workers, rows in ((0, 8), (1, 8), (0, 1_000)):
        run(str(source), out := tmp_path / f"out{len(made)}.parquet", workers, rows)
        made.append(out.read_bytes())
    assert made[0] == made[1]
    assert pq.read_table(tmp_path / "out0.parquet").equals(pq.read_table(tmp_path / "out2.parquet"))


def test_the_page_shows_what_the_table_holds(table: str, tmp_path: Path) -> None:
    run(table, tmp_path / "out.csv")
    path = motif_page.write_page(str(tmp_path / "out.csv"), "Motifs of <in>", 5)
    assert path == tmp_path / "out.html"
    text = path.read_text()
    assert "<h1>Motifs of &lt;in&gt;</h1>" in text
    assert "5 rows." in text
    assert text.count("<img ") == 1 + 3
    assert re.findall(r'class="blank">(\w+)<', text) == ["PARSE", "EMPTY"]
    assert re.findall(r'class="code">([^<]+)</span><em>(\d)', text)[:4] == [
        *(("*C(C)=O", "1"), ("*O*", "1"), ("*c1ccccc1*", "1"), ("*C(=O)O", "1"))
    ]
    assert not re.findall(r"<script|https?://(?!www.w3.org)", text)
    for picture in re.findall(r"base64,([^\"]+)", text):
        ElementTree.fromstring(b64decode(picture))


def test_a_page_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(motif_page, "DRAWN", 2)
    (tmp_path / "in.csv").write_text("smiles\n" + "CCO\n" * 5)
    run(str(tmp_path / "in.csv"), tmp_path / "out.parquet")
    text = motif_page.write_page(str(tmp_path / "out.parquet"), "many", 1_500).read_text()
    assert "The first 2 of 1,500 rows." in text
    assert text.count("<img ") == 1 + 2


@pytest.mark.parametrize(("output", "page"), [("a.csv.gz", "a.html"), ("b/a.b.parquet", "b/a.b.html"), ("a", "a.html")])
def test_the_page_lies_beside_the_output(output: str, page: str) -> None:
    assert motif_page.page_path(output) == Path(page)


def test_a_page_needs_a_name() -> None:
    with pytest.raises(UserError, match="--draw writes a page beside the output"):
        motif_page.page_path("-")


def test_motifs_lie_on_their_colours() -> None:
    told = draw_motifs("CC(=O)Oc1ccccc1")
    assert told is not None
    svg, legend = told
    assert legend == {
        token: (1, hexadecimal(GROUNDS[place])) for place, token in enumerate(("*C(C)=O", "*O*", "*c1ccccc1"))
    }
    assert all(colour in svg.lower() for _, colour in legend.values())
    assert not any(hexadecimal(colour) in (draw("CC(=O)Oc1ccccc1") or "").lower() for colour in GROUNDS)
    assert draw_motifs("C1CC") is None
    assert draw_motifs("CCO") is not None
