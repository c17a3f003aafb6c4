"""Numbers beside a motif loss: exact on small cases, and the trivial solution is seen for what it is."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tetramer import Embedder
from tetramer.benchmark.reaction_sets import part_texts
from tetramer.corpora import MoleculeData, read_reactions, with_units
from tetramer.encoders import ENCODERS
from tetramer.encoders.base import Encoder
from tetramer.equivalence import (
    WORDS,
    BagOfAtoms,
    Sums,
    among_isomers,
    assembly_isomers,
    compared,
    diagnose,
    effective_rank,
    examined,
    of_motifs,
    residual,
    sentences,
    spread_of_motifs,
    sums,
    told_apart,
    told_by_a_head,
)
from tetramer.molecules import Limits, Molecule, parse
from tetramer.molecules.motifs import partition
from tetramer.objectives.motif import MotifConfig, MotifEquivalence
from tetramer.objectives.reaction import ReactionConfig, ReactionEquivalence
from tetramer.pretraining import Options, pretrain
from tetramer.settings import configured
from tetramer.space.motif_vectors import Contexts, MotifVectors, contexts, gather
from tetramer.views import Reader, read
from tetramer.views.motifs import UnitFeatures

# Two pairs of isomers, and two molecules that are alone in their formula
TEXTS = ["CCCCOC", "CCCOCC", "O=C(NC1CC1)c1ccncc1", "O=C(Nc1ccncc1)C1CC1", "c1ccccc1", "CCO"]


def encoder(depth: int = 3) -> Encoder:
    kind: Any = ENCODERS["mpnn"]
    torch.manual_seed(0)
    made: Encoder = kind(configured(kind.Config, {"width": 24, "depth": depth, "readout": "sum"})).eval()
    return made


@pytest.fixture(scope="module")
def data() -> MoleculeData:
    told = read(TEXTS, ["graph", "motifs"], limits=Limits(0)).features
    return MoleculeData(with_units(told), number=np.arange(len(TEXTS)))


def test_assembly_isomers_are_of_the_same_motifs() -> None:
    pairs = assembly_isomers()
    assert len(pairs) == 21
    for one, other in pairs:
        both = [parse(one), parse(other)]
        assert all(isinstance(molecule, Molecule) for molecule in both)
        first, second = (partition(molecule) for molecule in both if isinstance(molecule, Molecule))
        assert sorted(first.tokens) == sorted(second.tokens)
        assert len({molecule.smiles for molecule in both if isinstance(molecule, Molecule)}) == 2


def test_the_bag_of_atoms_fulfils_the_equation_and_knows_nothing(data: MoleculeData) -> None:
    told = diagnose(BagOfAtoms(), data, np.arange(len(TEXTS)))
    assert (told.residual, told.assembly) == (0, 0)
    assert told.isomers == pytest.approx(1 / 1.5)  # of two the middle
    seen = diagnose(encoder(), data, np.arange(len(TEXTS)))
    assert seen.residual > 1e-3
    assert seen.assembly > 1e-4
    assert seen.rank > 1


def test_what_a_loss_compares_is_what_its_network_and_projection_make(data: MoleculeData) -> None:
    """Without a projection the residual is that of the network; bonds that are drawn as 0 change nothing."""
    rows, made = np.arange(len(TEXTS)), encoder()
    plain = MotifEquivalence(made, MotifConfig(projection=0)).eval()
    want = residual(sums(made, data, rows))
    assert compared(plain, data, rows) == pytest.approx((want, want), rel=1e-5)
    seeing = MotifEquivalence(made, MotifConfig(projection=0, context=True)).eval()
    nearer = compared(seeing, data, rows)
    assert nearer[0] == pytest.approx(nearer[1], rel=1e-5)
    assert nearer[0] < want
    narrow = MotifEquivalence(made, MotifConfig(projection=3)).eval()
    torch.nn.init.constant_(narrow.head.cut[-1].bias, 1.0)
    alone, with_bonds = compared(narrow, data, rows)
    told, matrix = sums(made, data, rows), narrow.head.project.weight.detach().numpy().T  # type: ignore[operator]
    assert alone == pytest.approx(residual(Sums(told.whole @ matrix, told.motifs @ matrix)), rel=1e-4)
    units = data.features["motifs"]
    assert isinstance(units, UnitFeatures)
    cuts = np.diff(units.cut_starts)[:, None]
    assert cuts[2:4, 0].tolist() == [3, 3]  # ring, carbonyl, amine, ring
    want = residual(Sums(told.whole @ matrix, told.motifs @ matrix + cuts))
    assert with_bonds == pytest.approx(want, rel=1e-4)


def test_a_network_that_sees_no_neighbour_is_a_bag() -> None:
    blind = encoder()
    for module in blind.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.zeros_(module.weight)
    assert told_apart(blind) == pytest.approx(0, abs=1e-12)


def test_effective_rank_by_hand() -> None:
    assert effective_rank(np.array([[1.0, 0], [-1, 0]])) == pytest.approx(1)
    assert effective_rank(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])) == pytest.approx(2)
    assert effective_rank(np.ones((3, 2))) == pytest.approx(1)


def test_own_motifs_among_isomers_by_hand() -> None:
    whole = np.array([[0.0], [1.0], [2.0], [9.0]])
    assert among_isomers(Sums(whole, whole), np.array([0, 0, 0, 1])) == 1
    # the second is as far from its own motifs as from those of the third: rank 2.5
    turned = Sums(whole, whole[[1, 0, 2, 3]])
    assert among_isomers(turned, np.array([0, 0, 0, 1])) == pytest.approx((1 / 2 + 1 / 2.5 + 1) / 3)
    assert among_isomers(Sums(whole, whole), np.arange(4)) is None


def test_words_say_what_each_number_is(data: MoleculeData) -> None:
    (line,) = sentences({"bag of atoms": of_motifs(BagOfAtoms(), data, np.arange(4), context=False)})
    assert line.startswith("bag of atoms: residual 0.000, effective rank ")
    assert "own motifs among isomers 0.667 (mean reciprocal rank)" in line
    assert "amides told by a linear head 0.500 (chance 0.5), a motif's vectors spread by 0.000 of what" in line
    (line,) = sentences({"x": of_motifs(BagOfAtoms(), data, np.arange(4, 6), context=False)})
    assert "no isomers" in line
    assert "no motif twice" in line


def test_amides_are_told_by_who_sees_bonds() -> None:
    assert told_by_a_head(BagOfAtoms()) == 0.5
    assert told_by_a_head(encoder()) > 0.6


def test_a_copy_of_what_was_cut_off_brings_the_motifs_nearer(data: MoleculeData) -> None:
    rows = np.arange(len(TEXTS))
    assert 0 < diagnose(encoder(), data, rows, context=True).residual < diagnose(encoder(), data, rows).residual


def test_the_spread_of_motifs_is_that_of_their_table(data: MoleculeData) -> None:
    """The same number as `embed --motifs` tells, where it reads the motifs' SMILES."""
    reading, found = read(TEXTS, ["graph", "motifs"], limits=Limits(0)), dict[str, Contexts]()
    gather(found, *contexts([(encoder(), "fp32")], reading))
    want = MotifVectors(found).spread
    assert want.motifs >= 3
    assert want.ratio
    told = spread_of_motifs(encoder(), data, np.arange(len(TEXTS)))
    assert told == pytest.approx(want.ratio, rel=1e-5)
    assert spread_of_motifs(BagOfAtoms(), data, np.arange(len(TEXTS))) == pytest.approx(0, abs=1e-9)
    assert spread_of_motifs(encoder(), data, np.array([4])) is None


def test_of_reactions_the_right_product_counts(tmp_path: Path) -> None:
    texts = ["CCBr.CN>>CCNC", "CO.CC(=O)O>>CC(=O)OC", "CC=O>>CCO", "OCC.CC(=O)O>>CC(=O)OCC", "CBr.CN>>CNC"]
    with Reader(limits=Limits(0)) as reader:
        told = read_reactions(texts, ("graph", "motifs"), reader, Limits(0), tmp_path, lambda *_: None).data
    rows, blind = np.arange(len(texts)), ReactionEquivalence(encoder(), ReactionConfig(projection=8)).eval()
    torch.nn.init.zeros_(blind.project.weight)  # type: ignore[arg-type]
    one = ReactionEquivalence(encoder(), ReactionConfig(projection=8, motifs=0.5)).eval()
    found = examined(one, blind, told, rows)
    assert list(found) == ["trained", "untrained", "bag of atoms"]
    assert set(found["trained"]) == {*WORDS}
    assert set(found["bag of atoms"]) == {*WORDS} - {"products", "sides"}
    assert found["untrained"]["products"] == pytest.approx(1 / 3)  # of five candidates the middle
    left, right = one.both(told, rows)
    apart = (left - right).norm(dim=1) / right.norm(dim=1)
    assert found["trained"]["sides"] == pytest.approx(float(apart.mean()), rel=1e-5)
    alone = ReactionEquivalence(encoder(), ReactionConfig()).eval()
    (line, _) = sentences(examined(alone, alone, told, rows))
    assert re.fullmatch(
        r"trained: right product \d.\d{3} \(mean reciprocal rank\), both sides differ by \d.\d{3} of the products' "
        r"length, effective rank \d+.\d.",
        line,
    )


@pytest.mark.slow
def test_vectors_do_not_collapse_in_two_hundred_steps(data_dir: Path, tmp_path: Path) -> None:
    """Of 1,000 reactions: the right products are found, and molecules' vectors do not lie on a line."""
    texts = part_texts("uspto-mit", ["valid"])[:1050]
    options = Options("molr", {"training.epochs": "5", "training.batch": "25"}, limits=Limits(0))
    told = pretrain(texts, "uspto-mit", options, tmp_path / "parts")
    assert told.card["steps"] == 200
    assert 0 < told.card["validation"]["active"] < 0.1
    trained, untrained = (told.card["diagnosis"][name] for name in ("trained", "untrained"))
    assert trained["products"] > 0.9 > 0.5 > untrained["products"]
    assert trained["rank"] > 1.5 * untrained["rank"]
    told.save(tmp_path / "encoder")
    vectors = Embedder(tmp_path / "encoder", workers=0).transform([text.partition(">>")[2] for text in texts])
    values = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False)
    shares = values[values > 0] / values.sum()
    assert np.exp(-(shares * np.log(shares)).sum()) > 10  # by singular values, not by their squares
