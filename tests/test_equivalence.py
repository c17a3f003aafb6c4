"""Numbers beside a motif loss: exact on small cases, and the trivial solution is seen for what it is."""

from typing import Any

import numpy as np
import pytest
import torch

from tetramer.corpora import MoleculeData, with_units
from tetramer.encoders import ENCODERS
from tetramer.encoders.base import Encoder
from tetramer.equivalence import (
    BagOfAtoms,
    Sums,
    among_isomers,
    assembly_isomers,
    compared,
    diagnose,
    effective_rank,
    residual,
    sentences,
    sums,
    told_apart,
)
from tetramer.molecules import Limits, Molecule, parse
from tetramer.molecules.motifs import partition
from tetramer.objectives.motif import MotifConfig, MotifEquivalence
from tetramer.settings import configured
from tetramer.views import read
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
    (line,) = sentences({"bag of atoms": diagnose(BagOfAtoms(), data, np.arange(4))})
    assert line.startswith("bag of atoms: residual 0.000, effective rank ")
    assert "own motifs among isomers 0.667 (mean reciprocal rank)" in line
    (line,) = sentences({"x": diagnose(BagOfAtoms(), data, np.arange(4, 6))})
    assert "no isomers" in line
