"""Ranking of products: the vectors are the objective's, the order is that of all distances, rows stay rows."""

import errno
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem

from tetramer.cli import main
from tetramer.errors import UserError
from tetramer.molecules import Limits, Standard
from tetramer.molecules.reactions import PRODUCT, REACTANT
from tetramer.pretraining import Options, pretrain
from tetramer.ranking import Ranker, answers, hits, load_ranker, nearest, rank, table
from tetramer.views import read
from tetramer.views.graph import GraphFeatures

HERE = Limits(0)
ALCOHOLS = [f"O{'C' * (k + 1)}{tail}" for k in range(6) for tail in ("", "C(F)C")]
ACID = "[CH3:1][C:2](=[O:3])[OH:4]"
ASKED = [f"{alcohol}.CC(=O)O" for alcohol in ALCOHOLS]
ESTERS = [f"CC(=O){alcohol}" for alcohol in ALCOHOLS]


def esterification(alcohol: str) -> str:
    """With maps on all atoms; the acid loses its OH."""
    mol = Chem.MolFromSmiles(alcohol)
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(5 + atom.GetIdx())
    mapped = Chem.MolToSmiles(mol, rootedAtAtom=0, canonical=False)
    return f"{mapped}.{ACID}>>[CH3:1][C:2](=[O:3]){mapped.replace('[OH:5]', '[O:5]')}"


REACTIONS = [esterification(alcohol) for alcohol in ALCOHOLS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranker")
    settings = {"training.epochs": "60", "training.peak": "0.01", "encoder.width": "24", "encoder.depth": "2"}
    pretrain(REACTIONS, "esters", Options("molr", settings, limits=HERE), path / "parts").save(path / "encoder")
    return path / "encoder"


@pytest.fixture(scope="module")
def ranker(folder: Path) -> Ranker:
    return load_ranker(folder)


def test_it_has_learned_the_reactions(ranker: Ranker) -> None:
    order, left, right = rank(ranker, ASKED, ESTERS, top=3, limits=HERE)
    assert [int(chosen[0]) for chosen in order.candidate] == list(range(len(ASKED)))
    assert all(len(chosen) == 3 for chosen in order.candidate)
    assert left.ok.all()
    assert right.ok.all()


def test_vectors_are_those_of_the_objective(ranker: Ranker) -> None:
    """A set in several rows is the same as one row with dots, and another set beside it changes nothing."""
    graphs = read(["CCO", "CC(=O)O", "CCO.CC(=O)O"], ["graph"], limits=HERE).features["graph"]
    assert isinstance(graphs, GraphFeatures)
    for role in (REACTANT, PRODUCT):
        told = ranker.vectors(graphs, np.array([0, 1, 2]), np.array([0, 2, 3, 3]), role)
        assert told.shape == (3, ranker.width)
        assert told[0] == pytest.approx(told[1], rel=1e-5, abs=1e-5)
        assert np.abs(told[0]).max() > 1e-3
        assert not told[2].any()  # a set of nothing
        assert ranker.vectors(graphs, np.array([2]), np.array([0, 1]), role)[0] == pytest.approx(
            told[1], rel=1e-5, abs=1e-5
        )
    with torch.no_grad():
        left, right = (ranker.vectors(graphs, np.array([2]), np.array([0, 1]), role) for role in (REACTANT, PRODUCT))
    assert np.abs(left - right).max() > 1e-3  # atoms that leave count for less among reactants


def test_turns_change_nothing(ranker: Ranker, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = read(ESTERS, ["graph"], limits=HERE).features["graph"]
    assert isinstance(graphs, GraphFeatures)
    whole = ranker.vectors(graphs, np.arange(12), np.arange(13), REACTANT)
    monkeypatch.setattr("tetramer.ranking.TURN", 5)
    assert ranker.vectors(graphs, np.arange(12), np.arange(13), REACTANT) == pytest.approx(whole, rel=1e-5, abs=1e-5)


def test_equal_candidates_stand_once_and_unreadable_ones_nowhere(ranker: Ranker) -> None:
    order, left, right = rank(ranker, [ASKED[0], "C1CC"], ["C1CC", *ESTERS, "O=C(C)OC"], top=99, limits=HERE)
    assert sorted(order.candidate[0].tolist()) == list(range(1, 13))
    assert order.candidate[1].size == 0
    assert (np.diff(order.distance[0]) >= 0).all()
    cells = table(order, left, right, [ASKED[0], "C1CC"]).to_pylist()
    assert len(cells) == 13
    assert cells[0]["product"] == "COC(C)=O"
    assert cells[-1] == {
        "row": 2, "reactants": "C1CC", "rank": None, "product": None, "distance": None,
        "status": "PARSE", "reason": cells[-1]["reason"],
    }  # fmt: skip


def test_maps_of_what_is_asked_change_nothing(ranker: Ranker) -> None:
    with_maps = f"OCC.{ACID}"
    plain, _, _ = rank(ranker, ["OCC.CC(=O)O"], ESTERS, limits=HERE)
    mapped, left, _ = rank(ranker, [with_maps], ESTERS, limits=HERE)
    assert left.ok.all()
    assert plain.candidate[0].tolist() == mapped.candidate[0].tolist()
    assert plain.distance[0] == pytest.approx(mapped.distance[0], abs=1e-6)


def test_choices_of_each_row(ranker: Ranker) -> None:
    among = [np.array([1, 2]), np.array([0, 1, 5])]
    order, _, _ = rank(ranker, ASKED[:2], ESTERS, among, limits=HERE)
    assert [sorted(chosen.tolist()) for chosen in order.candidate] == [[1, 2], [0, 1, 5]]
    assert order.candidate[1][0] == 1


def test_right_choices_are_counted(ranker: Ranker) -> None:
    """By the number of the column, with gaps, whole numbers as floats, and equal choices."""
    offered = [ESTERS[1], ESTERS[0], ESTERS[3], "O=C(C)OC"]
    among = [np.array([0, 1]), np.array([2, 1, 3])]
    order, _, read_as = rank(ranker, [ASKED[0], ASKED[0]], offered, among, limits=HERE)
    assert [len(chosen) for chosen in order.candidate] == [2, 2]  # the last is the second, written otherwise
    right = answers(["2.0", 9], [[0, 2], [1, 5, 9]], "answer")
    assert right == [1, 2]
    assert hits(order, among, right, read_as) == {"questions": 2, "right": 2}
    assert hits(order, among, answers([None, ""], [[0], [0]], "answer"), read_as) == {"questions": 0, "right": 0}
    with pytest.raises(UserError, match=r"Column 'answer' holds 'B' in row 1; give the number of a choice: 0, 2"):
        answers(["B"], [[0, 2]], "answer")


def test_reactants_are_no_salts(ranker: Ranker) -> None:
    plain, _, _ = rank(ranker, ASKED[:2], ESTERS, limits=HERE)
    kept, read_as, _ = rank(replace(ranker, standard=Standard(salts="largest")), ASKED[:2], ESTERS, limits=HERE)
    assert all("." in text for text in read_as.smiles)
    assert [chosen.tolist() for chosen in kept.candidate] == [chosen.tolist() for chosen in plain.candidate]


def test_the_nearest_by_hand() -> None:
    left, right = torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [-1.0], [9.0], [1.0]])
    told = [place.tolist() for place, _ in nearest(left, right, 2)]
    assert told == [[0, 1], [2, 0]]
    assert [place.tolist() for place, _ in nearest(left, right[:0], 2)] == [[], []]
    far = torch.full((1, 4), 500.0) + torch.tensor([[0.0, 0.01, 0.02, 0.03]])
    ((_, apart),) = nearest(far, far + torch.tensor([[0.05, 0.0, 0.0, 0.0]]), 1)
    assert apart == pytest.approx([0.05], rel=1e-2)  # fp32 squares of such vectors know distances to 0.35
    close = far + torch.tensor([[1e-3], [0.0], [1e-4], [0.0]])
    ((place, apart),) = nearest(far, close, 3)
    assert place.tolist() == [1, 3, 2]
    want = (close[2].double() - far[0].double()).norm().item()
    assert apart.tolist() == [0, 0, pytest.approx(want, rel=1e-12)]  # and no floor that a loss needs


def test_who_shares_the_first_place_is_not_first(ranker: Ranker) -> None:
    class Blind(Ranker):
        def vectors(self, *_: Any) -> np.ndarray:  # every set has the vector 0
            return np.zeros((len(_[2]) - 1, 2), np.float32)

    blind = Blind(ranker.card, ranker.objective, ranker.standard)
    among = [np.array([0, 1]), np.array([0, 2])]
    for told, right in ((ranker, 2), (blind, 1)):
        order, _, made = rank(told, [ASKED[0]] * 2, [ESTERS[0], ESTERS[1], "O=C(C)OC"], among, top=1, limits=HERE)
        assert [len(chosen) for chosen in order.candidate] == [1, 1]
        assert hits(order, among, [0, 0], made) == {"questions": 2, "right": right}


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        main([str(word) for word in words])
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_on_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked, offered, out = tmp_path / "asked.csv", tmp_path / "offered.smi", tmp_path / "out.csv"
    asked.write_text("reactants\n" + "\n".join([*ASKED, "nonsense"]) + "\n")
    offered.write_text("\n".join(ESTERS) + "\n")
    words = ("rank-products", asked, offered, "--model", folder, "--workers", 0)
    code, _, err = run(*words, "--output", out, "--top", 2, capsys=capsys)
    assert (code, len(out.read_text().splitlines())) == (0, 1 + 2 * 12 + 1)
    assert "12 of 13 rows of reactants can be read; 12 different products." in err
    code, printed, err = run("rank-products", ASKED[1], *words[2:], "--top", 1, capsys=capsys)
    assert (code, printed.splitlines()[1].split(",")[:4]) == (0, ["1", ASKED[1], "1", Chem.CanonSmiles(ESTERS[1])])
    assert "1 of 1 rows of reactants can be read" in err
    offered.write_text("\n".join(["C1CC", *ESTERS, "c1cc", "what", "CC(", "C(C)(C)(C)(C)C"]) + "\n")
    err = run(*words, "--output", out, capsys=capsys)[2]
    assert re.search(r"The candidate of row 1, 'C1CC', cannot be read: .*\(PARSE\)", err)
    assert re.search(r"The candidate of row 14, 'c1cc', .*\n.* row 15, 'what'.*\nSo it is with 2 more\.", err)
    questions = tmp_path / "questions.csv"
    rows = [f"{one},{right},{wrong},0" for one, right, wrong in zip(ASKED, ESTERS, ESTERS[1:], strict=False)]
    questions.write_text("reactant,choice_0,choice_1,answer\n" + "\n".join(rows) + "\n")
    code, printed, err = run(
        "rank-products", questions, questions, "--model", folder, "--workers", 0, "--json", "-o", out, capsys=capsys
    )
    assert "The right choice comes first in 11 of 11 questions." in err
    told: dict[str, Any] = json.loads(printed)
    assert (told["right"], told["questions"], told["rows"]) == (11, 11, 11)
    questions.write_text(
        f"reactant,choice_0,choice_2\n{ASKED[0]},{ESTERS[0]},{ESTERS[1]}\n{ASKED[1]},{ESTERS[1]},C1C\n"
    )
    err = run("rank-products", questions, questions, "--model", folder, "--workers", 0, "-o", out, capsys=capsys)[2]
    assert "The candidate of row 2, choice_2, 'C1C', cannot be read" in err


def test_whole_reactions_ask_with_their_reactants(
    ranker: Ranker, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reagents are told from reactants by the maps and left out, and a bad row says what is bad about it."""
    plain, left, _ = rank(ranker, ASKED, ESTERS, limits=HERE)
    told, read_as, made = rank(ranker, [*(f"ClCCl.{text}" for text in REACTIONS), "CC>>C1CC"], REACTIONS, limits=HERE)
    assert read_as.smiles == [*left.smiles, ""]
    assert [chosen.tolist() for chosen in told.candidate[:-1]] == [chosen.tolist() for chosen in plain.candidate]
    assert (read_as.codes[-1], read_as.reasons[-1][:10]) == ("PARSE", "product 1:")
    assert made.smiles == [Chem.CanonSmiles(text) for text in ESTERS]
    asked, out = tmp_path / "asked.csv", tmp_path / "out.csv"
    for header in ("id,reaction_smiles", "id,what"):  # a column that is known by its name, or by its arrows
        asked.write_text("\n".join([header, *(f"{k},{text}" for k, text in enumerate(REACTIONS))]) + "\n")
        words = ("rank-products", asked, asked, "--model", folder, "--workers", 0, "-o", out, "--top", 1)
        code, _, err = run(*words, capsys=capsys)
        assert (code, "12 of 12 rows of reactants can be read; 12 different products." in err) == (0, True)
        rows = [row.split(",") for row in out.read_text().splitlines()[1:]]
        assert [Chem.CanonSmiles(row[3]) for row in rows] == [Chem.CanonSmiles(text) for text in ESTERS]


def test_whoever_reads_the_order_may_stop(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    (tmp_path / "in.csv").write_text("reactants,product\nCO,COC\n")
    words = ("rank-products", tmp_path / "in.csv", tmp_path / "in.csv", "--model", folder, "--workers", 0)
    assert "where the rows would stand" in run(*words, "--json", capsys=capsys)[2]
    monkeypatch.setattr("tetramer.datasets.writing.write_table", gone)
    monkeypatch.setattr("tetramer.terminal.os.dup2", lambda *_: None)
    assert run(*words, capsys=capsys) == (0, "", "")


def test_wrong_input_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], smiles: list[str]
) -> None:
    settings = {"training.epochs": "1", "encoder.width": "16", "encoder.depth": "1", "encoder.embedding": "8"}
    pretrain(smiles, "x", Options("smiles-lstm", settings, limits=HERE), tmp_path / "parts").save(tmp_path / "lstm")
    with pytest.raises(UserError, match=r"has learned no reactions.*tetramer pretrain molr REACTIONS"):
        load_ranker(tmp_path / "lstm")
    with pytest.raises(UserError, match="--top 0 keeps no candidate"):
        rank(load_ranker(folder), ASKED, ESTERS, top=0)
    (tmp_path / "two.csv").write_text("reactant,choice_0,choice_1\nCO,C,O\nCC,C,O\n")
    (tmp_path / "one.csv").write_text("reactant\nCO\n")
    words = ("rank-products", tmp_path / "one.csv", tmp_path / "two.csv", "--model", folder, "--workers", 0)
    code, _, err = run(*words, capsys=capsys)
    assert code == 2
    assert "has choices for 2 rows, and" in err
