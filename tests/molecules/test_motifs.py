"""Motifs: exact answers, a partition of every molecule, and no dependence on the order of atoms."""

import gzip
import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import BRICS

from tetramer.molecules import Molecule, parse
from tetramer.molecules.motifs import Partition, Piece, bridges, cut_bonds, partition

CORPORA = ("zinc250k", "chembl_78k", "pubchem_100k", "zinc_natural_products_50k")
# SHA-256 of the tokens of 10,000 molecules, RDKit 2026.09.1
GOLDEN = "20fd357d1c78a27832cc7aeb0c4dda5097b546bf7bef0219bb03e3941e0e8ea6"

STRANGE = {
    "C": ("C",),
    "[He]": ("[He]",),
    "[H+]": ("[H+]",),
    "[H][H]": ("[H][H]",),
    "[Fe]": ("[Fe]",),
    "[Na+].[Cl-]": ("[Cl-]", "[Na+]"),
    "[13CH3]c1ccccc1": ("*[13CH3]", "*c1ccccc1"),
    "[2H]c1ccccc1": ("*[2H]", "*c1ccccc1"),
    "*CC": ("CC[*:1]",),  # the molecule's own dummy is told from the end of a cut
    "*C1CC1": ("*[*:1]", "*C1CC1"),
    "C12C3C4C1C5C2C3C45": ("C12C3C4C1C1C2C3C41",),
    "C1" + "C" * 60 + "1": ("C1" + "C" * 60 + "1",),
    "[CH3]C1=[CH]C=CC=C1[N+](=O)[O-]": ("*C", "*c1ccccc1*", "*[N+](=O)[O-]"),
    "C[N]1(C)CCS(C)->[Pd]<-1(Cl)Cl": None,  # a ring of dative bonds
    "[NH3]->[Pt](Cl)(Cl)<-[NH3]": ("[NH3]->[Pt](<-[NH3])([Cl])[Cl]",),
}


def read(smiles: str) -> Molecule:
    molecule = parse(smiles)
    assert isinstance(molecule, Molecule), molecule
    return molecule


def cut(smiles: str) -> Partition:
    return partition(read(smiles))


def shuffled(molecule: Molecule, rng: random.Random) -> Molecule:
    """The same molecule from a text that begins at another atom and goes another way."""
    order = list(range(molecule.mol.GetNumAtoms()))
    rng.shuffle(order)
    return read(Chem.MolToSmiles(Chem.RenumberAtoms(molecule.mol, order), canonical=False))


def corpus(data_dir: Path, name: str, count: int) -> list[Molecule]:
    """Readable molecules, every k-th line of a file."""
    with gzip.open(data_dir / "pretrain" / f"{name}.smi.gz", "rt") as file:
        texts = [line.split()[0] for line in file if line.strip()]
    told = map(parse, texts[:: len(texts) // count][:count])
    return [molecule for molecule in told if isinstance(molecule, Molecule)]


def check(molecule: Molecule) -> None:
    """What must be true of every partition."""
    told, mol = partition(molecule), molecule.mol
    count, rings = mol.GetNumAtoms(), mol.GetRingInfo()
    bonds = [mol.GetBondBetweenAtoms(*pair) for pair in told.cuts.tolist()]
    assert told.motif.shape == (count,)
    assert sorted(set(told.motif.tolist())) == list(range(len(told.kinds)))
    assert len(told.kinds) == len(Chem.GetMolFrags(mol)) + len(bonds)  # every cut is a bridge
    assert len(bridges(mol, [bond.GetIdx() for bond in bonds])) == len(bonds)
    assert not any(rings.NumBondRings(bond.GetIdx()) for bond in bonds)
    assert all(np.diff(np.unique(told.motif, return_index=True)[1]) > 0)  # by their first atoms
    conserved(molecule, told)
    piece, pieces = told.pieces
    assert sorted(set(piece.tolist())) == list(range(len(pieces)))
    assert [told.motif[piece == number].tolist() for number in range(len(pieces))] == [
        [motif] * int((piece == number).sum()) for number, (motif, _) in enumerate(pieces)
    ]


def conserved(molecule: Molecule, told: Partition) -> None:
    """Atoms are those of the molecule, and hydrogens, of which each end of a cut stands for as many as its order."""
    made = [Chem.MolFromSmiles(token) for token in told.tokens]
    assert [token for token, mol in zip(told.tokens, made, strict=True) if mol is None] == []
    assert [Chem.MolToSmiles(mol) for mol in made] == list(told.tokens)  # parse, print, parse is a fixed point
    sizes = [sum(bool(atom.GetAtomicNum() or atom.GetAtomMapNum()) for atom in mol.GetAtoms()) for mol in made]
    assert sizes == np.bincount(told.motif).tolist()
    hydrogens = sum(atom.GetTotalNumHs() for mol in made for atom in mol.GetAtoms())
    assert hydrogens == sum(atom.GetTotalNumHs() for atom in molecule.mol.GetAtoms())


@pytest.mark.parametrize(
    ("smiles", "tokens"),
    [
        ("CC(=O)Oc1ccccc1C(=O)O", ("*C(C)=O", "*O*", "*c1ccccc1*", "*C(=O)O")),
        ("CC(=O)Nc1ccc(O)cc1", ("*C(C)=O", "*N*", "*c1ccc(*)cc1", "*O")),
        ("Cn1c(=O)c2c(ncn2C)n(C)c1=O", ("*C", "*n1c(=O)c2c(ncn2*)n(*)c1=O", "*C", "*C")),
        ("c1ccccc1-c1ccccc1", ("*c1ccccc1", "*c1ccccc1")),
        ("O=C1CCCCC1", ("O=C1CCCCC1",)),
        ("CC=CC", ("*=CC", "*=CC")),
        ("C=C1CCCCC1", ("C=C1CCCCC1",)),
        ("C1CCCCC1=C1CCCCC1", ("*=C1CCCCC1", "*=C1CCCCC1")),
        ("CCO", ("CCO",)),
    ],
)
def test_named_molecules(smiles: str, tokens: tuple[str, ...]) -> None:
    assert cut(smiles).tokens == tokens


@pytest.mark.parametrize("smiles", STRANGE)
def test_nothing_is_left_out(smiles: str) -> None:
    check(read(smiles))
    assert STRANGE[smiles] in (None, cut(smiles).tokens)


def test_aspirin_atom_by_atom() -> None:
    told = cut("CC(=O)Oc1ccccc1C(=O)O")
    assert told.motif.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3]
    assert told.cuts.tolist() == [[1, 3], [3, 4], [9, 10]]
    assert told.bonds.tolist() == [1, 1, 1]


def test_the_pieces_of_a_motif_are_its_branches_and_what_they_leave() -> None:
    piece, pieces = cut("COC(C)=O").pieces
    assert piece.tolist() == [0, 0, 1, 2, 3]
    assert [(motif, one.token) for motif, one in pieces] == [(0, "*OC"), (1, "*C(*)=*"), (1, "*C"), (1, "*=O")]
    assert cut("c1ccc2[nH]ccc2c1").pieces[1] == [(0, Piece("c1ccc2[nH]ccc2c1", "ring:5,6:N1"))]


def test_stereo_stays_inside_and_goes_where_a_cut_is() -> None:
    assert cut("F/C=C/c1ccccc1").tokens == ("*C=CF", "*c1ccccc1")
    assert cut("F/C=C(c1ccccc1)/C=C/F").tokens == ("*C(=CF)/C=C/F", "*c1ccccc1")
    assert cut("c1ccccc1/N=N/c1ccccc1").tokens[1] == "*N=N*"
    assert cut("C[C@H](N)C(=O)N[C@@H](C)C(=O)O").tokens == ("*C(=O)[C@H](C)N", "*N*", "*C(C)C(=O)O")
    assert cut("C[C@H]1CC[C@@H](Cl)CC1").tokens[1] == "*C1CCC(*)CC1"


def test_a_ring_of_dative_bonds_is_a_ring() -> None:
    """RDKit does not count it among its rings, so a rule may cut a bond that is no bridge; it is left whole."""
    told = [read(text) for text in ("c1ccc2c(c1)->[Pd]<-N(C)C2", "C1CCN(C)(->[Pd]<-2)CCS2C1", "CN1(C)->[Pd]<-S(C)CC1")]
    for molecule in told:
        check(molecule)
    cuts = [cut_bonds(molecule.mol) for molecule in told]
    assert any(len(bridges(one.mol, bonds)) < len(bonds) for one, bonds in zip(told, cuts, strict=True))


@given(st.data())
def test_order_does_not_matter(smiles: list[str], data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.sampled_from([*smiles, *STRANGE]), min_size=1, max_size=3))
    molecule = read(".".join(pieces))
    told = partition(molecule)
    other = shuffled(molecule, random.Random(data.draw(st.integers(0, 99))))
    again = partition(other)
    assert other.smiles == molecule.smiles
    assert again.tokens == told.tokens
    assert again.motif.tolist() == told.motif.tolist()
    assert again.cuts.tolist() == told.cuts.tolist()


@given(
    st.lists(st.sampled_from(["c1ccccc1", "C1CC1", "C(=O)", "N", "O", "S(=O)(=O)", "C(C)", "C=C", "C#C"]), max_size=9)
)
def test_chains_of_groups_are_partitions(groups: list[str]) -> None:
    texts = ["c1ccc(cc1)" if group == "c1ccccc1" else group for group in groups]
    check(read("".join(texts) + "C"))


def test_a_mixture_has_the_motifs_of_its_parts(smiles: list[str]) -> None:
    one, two = smiles[:40], smiles[40:]
    for first, second in zip(one, two, strict=True):
        assert sorted(cut(f"{first}.{second}").tokens) == sorted(cut(first).tokens + cut(second).tokens)


@pytest.mark.parametrize("name", CORPORA)
def test_corpora_are_partitions(name: str, data_dir: Path) -> None:
    """So many molecules that rings, salts, charges, metals and stereo are among them; BRICS by RDKit's own search."""
    for molecule in corpus(data_dir, name, 60):
        check(molecule)
        cuts = {tuple(pair) for pair in partition(molecule).cuts.tolist()}
        assert {tuple(sorted(pair)) for pair, _ in BRICS.FindBRICSBonds(molecule.mol)} <= cuts
        rng = random.Random(0)
        other = partition(shuffled(molecule, rng))
        assert other.tokens == partition(molecule).tokens


@pytest.mark.slow
def test_a_thousand_molecules_in_twenty_orders(data_dir: Path) -> None:
    rng = random.Random(0)
    for name in CORPORA:
        for molecule in corpus(data_dir, name, 250):
            told = partition(molecule)
            for _ in range(20):
                other = shuffled(molecule, rng)
                again = partition(other)
                assert again.tokens == told.tokens
                assert again.motif.tolist() == told.motif.tolist()


@pytest.mark.slow
def test_tokens_of_ten_thousand_molecules(data_dir: Path) -> None:
    told = hashlib.sha256()
    for name in CORPORA:
        for molecule in corpus(data_dir, name, 2_500):
            told.update(" ".join(partition(molecule).tokens).encode())
    assert told.hexdigest() == GOLDEN
