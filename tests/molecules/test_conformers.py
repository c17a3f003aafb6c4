"""Conformers: a function of the molecule alone, with its stereo, in bounded time, and never a drawing unannounced."""

import random
from time import process_time

import numpy as np
import pytest
from rdkit import Chem

from tetramer.molecules import Molecule, Standard, conformers, parse
from tetramer.molecules.conformers import NOTES, Geometries, generate, rebuilt, same_graph, seed_of, spread
from tetramer.molecules.geometry import distances, with_places
from tetramer.molecules.overlay import keeps_stereo


def molecule(text: str) -> Molecule:
    told = parse(text, Standard(max_atoms=3_000))
    assert isinstance(told, Molecule), told
    return told


def made(text: str, count: int = 1, optimise: bool = True) -> Geometries:
    return generate(molecule(text), count, optimise)


def nearest(positions: np.ndarray) -> float:
    away = distances(positions)
    np.fill_diagonal(away, np.inf)
    return float(away.min())


def test_ethanol_is_as_long_as_it_is() -> None:
    told = made("OCC")
    assert told.numbers.tolist() == [6, 6, 8, *[1] * 6]
    assert told.charges.tolist() == [0] * 9
    assert (told.positions.shape, told.energies.tolist(), told.note) == ((1, 9, 3), [0.0], "")
    away = distances(told.positions[0])
    assert away[0, 1] == pytest.approx(1.52, abs=0.02)
    assert away[1, 2] == pytest.approx(1.42, abs=0.02)
    assert away[2, 8] == pytest.approx(0.97, abs=0.02)  # hydrogens follow the order of their parents
    assert [away[0, 3], away[0, 4], away[0, 5], away[1, 6], away[1, 7]] == pytest.approx([1.09] * 5, abs=0.02)


@pytest.mark.parametrize("smiles", ["CC(=O)Oc1ccccc1C(=O)O", "C[C@@H]1CC[C@H](O)C/C1=C/F", "C[N+](C)(C)CC([O-])=O.Cl"])
def test_spelling_does_not_matter(smiles: str) -> None:
    """To the last bit: SMILES written in ten ways, each an input order of its own."""
    mol, dice = Chem.MolFromSmiles(smiles), random.Random(5)
    spellings = {
        Chem.MolToSmiles(mol, rootedAtAtom=dice.randrange(mol.GetNumAtoms()), doRandom=True) for _ in range(10)
    }
    assert len(spellings) > 5
    told = [made(text, 2) for text in [smiles, *spellings]]
    for other in told[1:]:
        np.testing.assert_array_equal(other.positions, told[0].positions)
        np.testing.assert_array_equal(other.numbers, told[0].numbers)
        np.testing.assert_array_equal(other.charges, told[0].charges)


STEREO = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "F/C=C/F", "F/C=C\\F", "C/C=C/[C@H](O)[C@@H](C)Cl", "C[S@](=O)CC"]
STEREO += ["O[C@H]1CC[C@@H](C)CC1", "O[C@H]1CC[C@H](C)CC1", "C[P@](=O)(O)OC", "N/C(C)=N\\O", "[H]/N=C/C"]
STEREO += ["C[C@]12CC[C@H]3[C@H]([C@@H]1CC[C@@H]2O)CCC4=CC(=O)CC[C@]34C"]


@pytest.mark.parametrize("smiles", STEREO)
def test_stereo_is_kept(smiles: str) -> None:
    """Seen again from the places alone."""
    told, one = made(smiles, 4), molecule(smiles)
    assert told.note == ""
    for positions in told.positions:
        mol = with_places(rebuilt(one), positions)
        for atom in mol.GetAtoms():
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        for bond in mol.GetBonds():
            bond.SetStereo(Chem.BondStereo.STEREONONE)
        Chem.AssignStereochemistryFrom3D(mol)
        assert Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(mol))) == one.smiles


def test_several_conformers_are_sorted_and_different() -> None:
    told = made("OCCCCc1ccccc1", 8)
    assert 4 <= len(told.positions) <= 8
    assert told.energies[0] == 0
    assert (np.diff(told.energies) >= 0).all()
    assert np.isfinite(told.energies).all()
    heavy = told.positions[:, told.numbers != 1]
    away = np.array([[np.abs(distances(one) - distances(other)).max() for one in heavy] for other in heavy])
    assert (away + np.eye(len(away)) > 0.05).all()
    assert len(made("c1ccccc1", 8).positions) == 1
    assert len(made("CO", 8).positions) == 1  # hydrogens alone make no conformer


def test_the_conformer_made_alone_is_among_the_many() -> None:
    alone, many = made("OCCCN", 1).positions[0], made("OCCCN", 5).positions
    assert min(np.abs(distances(alone) - distances(one)).max() for one in many) < 1e-6


def test_relaxation_lowers_the_energy_and_can_be_left_out() -> None:
    raw, relaxed = made("CC(=O)Nc1ccc(O)cc1", 3, optimise=False), made("CC(=O)Nc1ccc(O)cc1", 3)
    assert np.isfinite(raw.energies).all()
    assert (np.diff(raw.energies) >= 0).all()
    assert not np.array_equal(raw.positions[0], relaxed.positions[0])
    assert raw.energies[-1] > 1  # of three conformers as embedded, some are strained


NASTY = {
    "[He]": "",
    "[H][H]": "",
    "[H+]": "",
    "[2H]O[2H]": "",
    "[Na+].[Cl-]": "",
    "O.O.O.CCO": "",
    "*CC*": "",
    "*": "",
    "Cl[Pt](Cl)(<-[NH3])<-[NH3]": "",
    "[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1": "",
    "F[U](F)(F)(F)(F)F": "",
    "FS(F)(F)(F)(F)F": "",
    "[CH3]": "",
    "[Fe]": "",
    "C1=CC2=CC=C1C2": "",  # against Bredt's rule
    "C12C3C4C1C5C2C3C45": "",
    "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6c%11c2c2c7c3c3c8c4"
    "c4c9c5c1c1c6c2c3c41": "",
    "O=c1cccc2n1C[C@@H]1CNC[C@@H]2C1": "",
    "C1[C@H]2[C@@H]3O[C@@H]3[C@@H]1[C@@]13O[C@@]21[C@@H]1C[C@H]3[C@@H]2O[C@@H]21": "CONF_2D",  # cannot exist
    "C" * 130: "CONF_2D",
    "C" * 251: "CONF_NONE",
    "C[C@H](N)C(=O)" + "N[C@@H](CC(C)C)C(=O)" * 125 + "O": "CONF_NONE",
}


@pytest.mark.parametrize("smiles", NASTY, ids=lambda text: text[:24])
def test_whatever_comes_has_a_status_and_finite_places(smiles: str) -> None:
    begun = process_time()
    told = made(smiles)
    assert process_time() - begun < 6
    assert told.note == NASTY[smiles]
    assert told.note in NOTES
    assert len(told.positions) == len(told.energies) == (told.note != "CONF_NONE")
    assert np.isfinite(told.positions).all()
    flat = not told.positions[:, :, 2].any()
    if told.note == "CONF_2D":
        assert flat
        assert np.isnan(told.energies).all()
    for positions in told.positions:
        assert len(positions) == len(told.numbers) == len(told.charges)
        assert len(positions) == 1 or nearest(positions) > (0.2 if told.note else 0.6)
        assert told.note or len(positions) < 5 or not flat
        assert told.note or keeps_stereo(rebuilt(molecule(smiles)), positions)


def test_parts_of_a_mixture_stand_apart() -> None:
    told = made("[Na+].CC([O-])=O.O", 2)
    mol = rebuilt(molecule("[Na+].CC([O-])=O.O"))
    for positions in told.positions:
        away = distances(positions)
        for part in Chem.GetMolFrags(mol):
            others = [atom for atom in range(len(positions)) if atom not in part]
            assert away[np.ix_(part, others)].min() > 1.5
            assert away[np.ix_(part, part)].max() < 6
    one = rebuilt(molecule("CCO"))
    places = np.random.default_rng(0).normal(size=(3, 9, 3))
    assert np.array_equal(spread(one, places), places)


def test_one_failure_after_another_leads_down_the_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    """No embedding: a drawing that says so. No drawing: nothing. Never zeros, never a drawing without its note."""
    monkeypatch.setattr(conformers, "RUNGS", ())
    told = made("CC(C)O", 3)
    assert (told.note, told.positions.shape, told.positions[:, :, 2].any()) == ("CONF_2D", (1, 12, 3), False)
    assert nearest(told.positions[0]) > 0.5
    monkeypatch.setattr(conformers, "CLASH", 99.0)
    told = made("CC(C)O", 3)
    assert (told.note, told.positions.shape, told.energies.shape) == ("CONF_NONE", (0, 12, 3), (0,))


def test_an_embedding_of_the_wrong_hand_is_no_conformer(monkeypatch: pytest.MonkeyPatch) -> None:
    real = conformers.places
    monkeypatch.setattr(conformers, "places", lambda mol: -real(mol))
    assert made("C[C@H](N)O").note == "CONF_2D"
    assert made("CC(N)O").note == ""


def test_the_clock_only_stops_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformers, "PATIENCE", -1.0)
    assert made("CCO").note == "CONF_2D"
    monkeypatch.setattr(conformers, "PATIENCE", 100.0)
    monkeypatch.setattr(conformers, "MAKING", 1e-9)  # the work allows no second one
    assert len(made("OCCCCCCN", 5).positions) == 1


def test_signs_of_life_come_with_every_attempt() -> None:
    """A worker that is silent for long is ended; a molecule of many attempts is not silent."""
    signs: list[int] = []
    told = generate(molecule("OCCCCCCN"), 4, True, lambda: signs.append(1))
    assert len(signs) > len(told.positions) > 1


@pytest.mark.parametrize("frames", [1, 3])
def test_given_geometry_is_used_as_it_is(frames: int) -> None:
    one = molecule("\n".join(frames * ["3\nO\nO 0 0 9\nH 0 0.7572 8.4\nH 0 -0.7572 8.4"]))
    told = generate(one, 2, True)
    assert len(told.positions) == len(told.energies) == frames
    assert (told.note, told.numbers.tolist()) == ("GIVEN", [8, 1, 1])
    np.testing.assert_array_equal(told.positions, one.geometry)  # type: ignore[index]
    assert np.isnan(told.energies).all()  # nobody has computed one


def test_seeds_are_hashes_in_the_range_that_rdkit_takes() -> None:
    seeds = [seed_of(f"{'C' * length}O") for length in range(500)]
    assert len(set(seeds)) == 500
    assert min(seeds) >= 1
    assert max(seeds) < 2**31
    assert max(seeds) > 2**30
    assert seed_of("CCO") == 723380249


def test_graphs_are_compared_by_atoms_hydrogens_and_bonds() -> None:
    one = Chem.MolFromSmiles("CCO")
    assert same_graph(one, Chem.MolFromSmiles("CCO"))
    assert not any(same_graph(one, Chem.MolFromSmiles(text)) for text in ("OCC", "C=CO", "C.CO", "CC", "C[CH]O"))
