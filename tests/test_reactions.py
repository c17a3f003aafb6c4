"""Reactions as the structures of a table: found, read, learned from, answered for; bad ones cost their row."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tetramer import Classifier, load
from tetramer.benchmark.cases import case_of
from tetramer.cli import main
from tetramer.datasets.audit import Options as Looking
from tetramer.datasets.audit import audit, overlap
from tetramer.datasets.placed import column_for, column_like, column_notes, form_of, structure_columns, texts_for
from tetramer.datasets.reactions import reactions as told_reactions
from tetramer.datasets.tables import read_table
from tetramer.errors import UserError
from tetramer.members.origin import read_origin
from tetramer.molecules import Limits, Molecule, Rejected, Standard
from tetramer.molecules.reactions import parts_of, read_as_one
from tetramer.pretraining import Options as Pretraining
from tetramer.pretraining import pretrain
from tetramer.recipes import resolve
from tetramer.views import read
from tetramer.views.fingerprint import FingerprintFeatures
from tetramer.views.smiles import BEGIN, END, SmilesFeatures, SmilesSettings, decode, featurize

HERE = Limits(0)
REACTIONS = Standard(reactions=True)
GROUPS = ("C", "CC", "CCC", "C(C)C", "c1ccccc1", "C1CCCC1", "CCCC", "c1ccncc1", "CCOC", "C1CC1")


@pytest.fixture(scope="module")
def reactions() -> list[tuple[str, str]]:
    """200 reactions, half of them that a halogen leaves. The same products occur in both halves."""
    told = []
    for one in GROUPS:
        for other in GROUPS:
            amine = f"{other}N{one}" if not one.startswith("c") else f"{one}N{other}"
            told += [(f"{one}Br.{other}N>[K+]>{amine}", "yes"), (f"{one}N.{other}O>>{amine}", "no")]
    return told


@pytest.fixture(scope="module")
def table(reactions: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reactions") / "reactions.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("rxn", "leaves"), *reactions])
    return path


def one(text: str, standard: Standard = REACTIONS) -> Molecule:
    told = read_as_one(text, standard)
    assert isinstance(told, Molecule), told
    return told


def test_a_reaction_is_one_structure_in_the_order_of_its_parts() -> None:
    told = one("[OH-].CBr>[Na+]>OC")
    assert told.smiles == "CBr.[OH-]>[Na+]>CO"
    assert told.roles == (3, 1, 2)
    assert [atom.GetSymbol() for atom in told.mol.GetAtoms()] == ["C", "Br", "O", "Na", "C", "O"]
    assert parts_of(told.smiles) == ["CBr.[OH-]", "[Na+]", "CO"]
    assert parts_of("N->[Pt]<-N") == ["N->[Pt]<-N"]
    assert one(" OC.CBr >> OCC ").smiles == "CBr.CO>>CCO"
    assert one("CBr.OC>>OCC\tyield >95 %").smiles == "CBr.CO>>CCO"  # what stands behind is no part of it


@pytest.mark.parametrize(
    "text, code, why",
    [
        ("CCO", "PARSE", "give a reaction, LEFT>>RIGHT, not a molecule"),
        ("CC>C", "PARSE", "one sign '>'; give LEFT>>RIGHT"),
        ("CCO>>", "EMPTY", "no product"),
        ("C(C>>CC", "PARSE", "reactant 1"),
        ("", "EMPTY", "no text"),
        (">".join(["C" * 60, "", "C" * 50]), "TOO_BIG", "110 atoms in all; the limit is 100"),
    ],
)
def test_what_is_no_reaction_is_refused_with_a_reason(text: str, code: str, why: str) -> None:
    told = read_as_one(text, Standard(reactions=True, max_atoms=100))
    assert isinstance(told, Rejected)
    assert told.code == code
    assert why in told.reason


def test_maps_tell_reagents_and_are_then_forgotten() -> None:
    mapped = "[CH3:1][Br:2].[OH2:3].[Na+:4]>>[CH3:1][OH:3]"
    other = re.sub(r":(\d)", lambda found: f":{9 - int(found[1])}", mapped)
    views = ["fingerprint", "graph", "smiles"]
    texts = ["CBr.O>[Na+]>CO", mapped, other]
    told = read(texts, views, REACTIONS, HERE)
    assert told.smiles == ["CBr.O>[Na+]>CO"] * 3
    for features in told.features.values():
        for column, starts in features.COLUMNS.items():
            cells = getattr(features, column)
            rows = np.split(cells, getattr(features, starts)[1:-1]) if starts else list(cells)
            np.testing.assert_array_equal(rows[0], rows[1])
            np.testing.assert_array_equal(rows[0], rows[2])


def test_fingerprints_tell_what_is_made_from_what_is_broken_or_kept_or_beside() -> None:
    texts = ["CBr.O>>CO", "CO>>CBr.O", "CO>>CO", "CO>O>CO", "CO.O>>CO"]
    told = read(texts, ["fingerprint"], REACTIONS, HERE).features["fingerprint"]
    assert isinstance(told, FingerprintFeatures)
    cut = told.bit_starts[1:-1]
    pairs = zip(np.split(told.bits, cut), np.split(told.counts, cut), strict=True)
    counts = [dict(zip(bits.tolist(), many.tolist(), strict=True)) for bits, many in pairs]
    kept = counts[2]
    assert sum(kept.values()) == 3  # C, O and the two together
    assert kept.items() < counts[3].items()
    assert kept.items() < counts[4].items()
    assert counts[3] != counts[4]
    assert sum(counts[0].values()) == sum(counts[1].values())
    assert counts[0] != counts[1]
    assert told.elements[0, [6, 8, 35]].tolist() == [1, 1, 0]  # those of the products


def test_spellings_are_of_the_parts_one_by_one() -> None:
    molecule = one("OCC.CC(=O)O>[H+]>CCOC(C)=O")
    told = featurize([molecule], settings=SmilesSettings(variants=4))
    assert isinstance(told, SmilesFeatures)
    several = np.split(told.tokens, np.cumsum(told.lengths[0])[:-1])
    texts = []
    for tokens in several:
        cut = np.flatnonzero(tokens == END)
        assert (tokens[cut + 1] == BEGIN).all()
        inner = np.split(np.delete(tokens, [*cut, *(cut + 1)]), [cut[0], cut[1] - 2])
        texts.append(">".join(decode(part) for part in inner))
    assert texts[0] == molecule.smiles
    assert len(set(texts)) > 1
    assert {one(text).smiles for text in texts} == {molecule.smiles}


def test_tables_of_reactions_are_found(tmp_path: Path) -> None:
    def table_of(text: str) -> tuple[list[str], str | None, str]:
        path = tmp_path / "table.csv"
        path.write_text(text)
        told = read_table(path)
        texts = texts_for(("graph",), told)
        return texts, column_for(told), form_of(texts)

    assert table_of("rxn,y\nC>>CC,1\nC>>CCC,2\n") == (["C>>CC", "C>>CCC"], "rxn", "reaction")
    assert table_of("what,y\nC>>CC,1\nC>>CCC,2\n") == (["C>>CC", "C>>CCC"], "what", "reaction")
    assert table_of("reactants,product,y\nC.C,CC,1\nCO,,2\n") == (["C.C>>CC", ""], None, "reaction")
    assert table_of("smiles,rxn,y\nCC,C>>CC,1\nCO,C>>CO,2\n") == (["CC", "CO"], "smiles", "plain")
    assert texts_for((), read_table(tmp_path / "table.csv"), None, wanted=True) == ["C>>CC", "C>>CO"]
    with pytest.raises(UserError, match="2 of 3 structures are reactions, and the others are none"):
        form_of(["C>>CC", "C>>CO", "CC"])
    assert table_of("smiles,y\nC>>CC,1\nC>>CO,2\n") == (["C>>CC", "C>>CO"], "smiles", "reaction")
    assert table_of("reactants_smiles,products_smiles\nC.C,CC\n")[0] == ["C.C>>CC"]


def test_the_columns_of_both_sides_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('from,to,"from,to",smiles\nC.C,CC,O>>O,N\nCO,,O>>O,N\n')
    whole, table = read_table(path), read_table(path)
    table = replace(whole, data=whole.data.drop_columns(["from,to"]))
    for name, want in (("from,to", ["C.C>>CC", ""]), ("to, from", ["CC>>C.C", ""])):
        assert told_reactions(table, name) == texts_for(("graph",), table, name) == want
        assert structure_columns(table, name) == tuple(part.strip() for part in name.split(","))
    assert column_like(table, ("from", "to")) == "from,to"  # as a model has read its own table
    assert column_notes(table, "from,to") == []
    assert told_reactions(whole, "from,to") == ["O>>O", "O>>O"]  # the name of one column
    with pytest.raises(UserError, match="has no column 'product'"):
        told_reactions(table, "from,product")
    with pytest.raises(
        UserError, match=r"but one of molecules.*`pretrain molr` learns from.*--smiles-column LEFT,RIGHT"
    ):
        told_reactions(table)
    path.write_text("name,y\nx,1\n")
    with pytest.raises(UserError, match="Name it with --smiles-column, LEFT,RIGHT for two columns"):
        told_reactions(read_table(path))


def test_an_audit_of_reactions(tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    rows = [f"{group}Br.CN>>CN{group},{place / 3:.2f}" for place, group in enumerate(GROUPS) if "c" not in group]
    first.write_text("\n".join(["rxn,y", *rows, rows[0][:-4] + "9.00", "CCO,1.5"]) + "\n")
    second.write_text("rxn\n[CH3:1][NH2:2].[CH3:3][Br:4]>>[CH3:1][NH:2][CH3:3]\nCCl.CN>>CNC\nCCCCC>>CCCCCl\n")
    told = {one.code: one for one in audit(read_table(first), None, None, Looking(limits=HERE)).findings}
    assert {"PARSE", "DUPLICATE", "CONFLICT"} <= set(told)
    assert {"MULTI_COMPONENT", "ISOMER", "STYLE"}.isdisjoint(told)
    assert "1 row with the reaction of an earlier row; 1 reaction in more" in told["DUPLICATE"].sentence
    shared = overlap(read_table(first), read_table(second), None, Looking(limits=HERE)).findings
    assert [(one.code, one.count) for one in shared] == [("SAME_MOLECULE", 1), ("SAME_SKELETON", 1)]
    assert "with an isomer of the product of a reaction" in shared[1].sentence
    second.write_text("smiles\nCNC\nCCO\n")
    with pytest.raises(UserError, match=r"first\.csv holds reactions and second\.csv molecules"):
        overlap(read_table(first), read_table(second), None, Looking(limits=HERE))


def test_an_audit_of_a_table_that_mixes_them(tmp_path: Path) -> None:
    """What most rows are not is what cannot be read; the audit of the rest goes on."""
    path = tmp_path / "mixed.csv"
    for rows, seen in ((["CCO", "CCN", "CC>>CCO", "CCC"], "molecule"), (["C>>CO", "CC>>CCO", "CCN"], "reaction")):
        path.write_text("\n".join(["smiles", *rows]) + "\n")
        told = audit(read_table(path), None, None, Looking(limits=HERE))
        assert told.what == seen
        assert [(one.code, one.count) for one in told.findings] == [("PARSE", 1)]


def test_networks_of_graphs_take_the_form_for_reactions() -> None:
    recipe = resolve("graph+fingerprint", {}, "reaction").networks["fusion"]
    assert recipe["encoder_config"]["branches"]["graph"]["encoder"] == "reaction-mpnn"
    assert recipe["encoder_config"]["branches"]["fingerprint"]["encoder"] == "mlp"
    assert resolve("graph", {"encoder": "gin"}, "reaction").networks["graph"]["encoder"] == "reaction-gin"
    assert set(resolve("fusion", {}, "reaction").networks["fusion"]["encoder_config"]["branches"]) == {
        "fingerprint", "smiles", "graph",
    }  # fmt: skip
    with pytest.raises(UserError, match="it has no conformer"):
        resolve("conformer", {}, "reaction")
    assert resolve("graph", {"encoder": "gin"}).networks["graph"]["encoder"] == "gin"


def test_a_model_learns_reactions_and_answers_for_them(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tetramer(*words: object) -> None:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        assert not end.value.code

    model, asked, out = tmp_path / "model", tmp_path / "asked.csv", tmp_path / "out.csv"
    tetramer(
        "train", table, "--target", "leaves", "--output", model, "--recipe", "graph", "--split", "random",
        "--set", "training.epochs=12", "--set", "encoder.width=64", "--set", "training.batch=16", "--workers", 1,
    )  # fmt: skip
    card = json.loads((model / "card.json").read_text())
    assert card["metrics"]["test"]["graph"]["roc-auc"]["value"] > 0.95  # products alone tell nothing
    asked.write_text("rxn\nCBr.[NH3]>>CN\nCCO\nC>>\nCCO.N>>CCN\n")
    tetramer("predict", model, asked, "--output", out)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["status"] for row in rows] == ["ok", "PARSE", "EMPTY", "ok"]
    assert float(rows[0]["leaves_pred"]) > 0.5 > float(rows[3]["leaves_pred"])
    told = load(model).predict(["[CH3:1][Br:2].[NH3:3]>>[CH3:1][NH2:3]", "CBr.N>>CN", "CN>>CBr.N"])
    assert told[0] == told[1] == "yes"
    asked.write_text("smiles,rxn\nCN,CBr.N>>CN\n")
    tetramer("predict", model, asked, "--output", out)
    assert next(csv.DictReader(out.read_text().splitlines()))["status"] == "ok"
    with pytest.raises(SystemExit):
        main(["embed", str(asked), "--model", str(model), "--motifs"])
    assert "this model has learned from reactions" in capsys.readouterr().err
    asked.write_text("rxn\nCBr.N>>CN\nCN>>CBr.N\n")
    tetramer("embed", asked, "--model", model, "--output", out)
    assert [row["status"] for row in csv.DictReader(out.read_text().splitlines())] == ["ok", "ok"]
    assert "Most rows are reactions" not in capsys.readouterr().err
    tetramer("predict", model, "CCCBr.CN>[K+]>CCCNC", "--output", out)
    assert float(next(csv.DictReader(out.read_text().splitlines()))["leaves_pred"]) > 0.5


def test_the_other_ways_in_know_reactions(reactions: list[tuple[str, str]], table: Path, tmp_path: Path) -> None:
    texts, labels = zip(*reactions, strict=True)
    quick = {"folds": "2", "trees": "10"}
    told = Classifier("baseline", settings=quick, workers=1).fit(list(texts), list(labels))
    assert told.predict(["CCCCBr.CCN>[K+]>CCNCCCC", "CCCCN.CCO>>CCNCCCC", "CCO"]).tolist() == ["yes", "no", None]
    case = case_of(str(table), tmp_path, ["leaves"])
    assert case.form == "reaction"
    assert case.reading.ok.all()


def test_vectors_of_reactions_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A reaction alone, a table of them, and one of molecules with some between, which cost their rows."""

    def embedded(data: object) -> list[dict[str, str]]:
        with pytest.raises(SystemExit) as end:
            main(["embed", str(data), "--output", str(tmp_path / "out.csv"), "--workers", "0"])
        assert not end.value.code
        return list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))

    def vector(row: dict[str, str]) -> list[float]:
        return [float(row[f"e{k}"]) for k in range(2048)]

    (alone,) = embedded("CBr.N>>CN")
    assert "makes, breaks and keeps" in capsys.readouterr().err
    table = tmp_path / "some.csv"
    table.write_text("rxn\n[CH3:1][Br:2].[NH3:3]>>[CH3:1][NH2:3]\nCN>>CBr.N\nCN>>CN\n")
    same, back, still = embedded(table)
    assert vector(alone) == vector(same) != vector(back)
    assert sum(map(bool, vector(still))) == 3  # two atoms and the bond between them, all kept
    table.write_text("smiles\nCBr\nCBr.N>>CN\nCN\n")
    assert [row["status"] for row in embedded(table)] == ["ok", "PARSE", "ok"]
    assert "circular substructures" in capsys.readouterr().err


def test_weights_of_reactions_are_taken_up(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"{text.partition('>')[0]}>>{text.rpartition('>')[2]}" for text in texts_for((), read_table(table))]
    quick = {"training.epochs": "1", "encoder.width": "16"}
    parts = tmp_path / "parts"
    pretrain(texts, "made", Pretraining("molr", quick, 0, limits=HERE), parts).save(tmp_path / "molr")
    origin = read_origin(tmp_path / "molr")
    recipe = resolve("graph", {"encoder.width": "16"}, "reaction")
    assert len(origin.matched("graph", recipe.networks)) == 1
    with pytest.raises(UserError, match="no network of"):
        origin.matched("graph", resolve("graph", {"encoder.width": "24"}, "reaction").networks)
    asked, out = tmp_path / "asked.csv", tmp_path / "out.csv"
    for text, hint in (("rxn\nCBr.N>>CN\nC>>CO\n", 1), ("smiles\nCBr\nCBr.N>>CN\n", 0)):
        asked.write_text(text)
        with pytest.raises(SystemExit) as end:
            main(["embed", str(asked), "--model", str(tmp_path / "molr"), "--output", str(out), "--workers", "0"])
        assert not end.value.code
        assert capsys.readouterr().err.count("Most rows are reactions") == hint
        assert list(csv.DictReader(out.read_text().splitlines()))[1]["reason"].endswith("not a reaction")
