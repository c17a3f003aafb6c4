"""The fingerprint view: counts, elements and descriptors are RDKit's own."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator

from tetramer.molecules import Molecule, parse
from tetramer.views import descriptors, fingerprint

HARD = """C [H][H] [2H]O [2H][2H] * C*C [He] [BH4-] [NH4+] [CH3] [CH2]C[CH] C~C C->[Fe] [U] O=[U]=O [H+]
[Na+].[Cl-] CC.O C1CC1 C1CCC1 C12C3C4C1C5C2C3C45 F[Pt](F)(N)N S(F)(F)(F)(F)(F)F [SiH3]C O=C(O)O.[Bi] C[Hg]C B1OO1
FC(F)(F)I
c1c(O)cccc1[N+](=O)[O-] NS(=O)(=O)c1ccccc1 CN=[N+]=[N-] C=[N+]=[N-] OP(=O)(O)OC SC#N CN=C=S C1C(=O)NC(=O)NC1=O
c1nnn[nH]1 Cc1ccco1 C#CC C=CCC=O [13CH3]Cl C1=NCCNc2ccccc12 NC(=N)N O[N]C=O CON=C
O=NC CC(C)(C)NCC(O)c1ccccc1""".split()  # noqa: SIM905 (to be read)


def reference(mol: Chem.Mol) -> np.ndarray:
    """(D,) float32 from RDKit's own table, one function after the other."""
    table, values = dict(Descriptors._descList), []
    for name in fingerprint.NAMES:
        try:
            values.append(float(table[name](mol)))
        except (ValueError, ZeroDivisionError, RuntimeError, ArithmeticError, IndexError, KeyError):
            values.append(np.nan)
    told = np.array(values)
    told[~(np.abs(told) < np.finfo(np.float32).max)] = np.nan
    return told.astype(np.float32)


def differing(texts: list[str]) -> dict[str, list[str]]:
    """Descriptor → the molecules for which ours is not RDKit's in float32."""
    wrong: dict[str, list[str]] = {}
    for text in texts:
        with np.errstate(all="ignore"):
            expected = reference(Chem.MolFromSmiles(text))
        ours = descriptors.describe(Chem.MolFromSmiles(text))
        for place in np.flatnonzero(~((ours == expected) | (np.isnan(ours) & np.isnan(expected)))):
            wrong.setdefault(fingerprint.NAMES[place], []).append(text)
    return wrong


def real(data_dir: Path, name: str, step: int) -> list[str]:
    with gzip.open(data_dir / "pretrain" / name, "rt") as file:
        texts = [line.split()[0] for line in file][1::step]
    return [text for text in texts if isinstance(parse(text), Molecule)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # RDKit divides by zero in some
def test_descriptors_of_hard_molecules_are_those_of_rdkit() -> None:
    assert differing(HARD) == {}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_descriptors_of_300_real_molecules_are_those_of_rdkit(data_dir: Path) -> None:
    texts = real(data_dir, "pubchem_100k.smi.gz", 660) + real(data_dir, "chembl_78k.smi.gz", 520)
    assert len(texts) >= 290
    assert differing(texts) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_descriptors_of_many_real_molecules_are_those_of_rdkit(data_dir: Path) -> None:
    texts = real(data_dir, "pubchem_100k.smi.gz", 23) + real(data_dir, "zinc_natural_products_50k.smi.gz", 41)
    assert differing(texts) == {}


def test_the_names_are_those_of_rdkit_in_its_order() -> None:
    estate = ("MaxAbsEStateIndex", "MaxEStateIndex", "MinAbsEStateIndex", "MinEStateIndex")
    rest = [name for name, _ in Descriptors._descList if name not in (*descriptors.LEFT_OUT, *estate)]
    assert (*estate, *rest) == fingerprint.NAMES
    fragments = {f"fr_{name}" for group in descriptors.NEEDS for name in group.split()}
    assert fragments == {name for name in fingerprint.NAMES if name.startswith("fr_")}


def test_what_the_shared_forms_refuse_is_asked_of_rdkit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(mol: Chem.Mol, shape: object) -> dict[str, float]:
        raise ValueError("no")

    mol = Chem.MolFromSmiles("CC(=O)Nc1ccc(O)cc1")
    expected = descriptors.describe(mol)
    monkeypatch.setattr(descriptors, "SHARED", (refuse,))
    np.testing.assert_array_equal(descriptors.describe(mol), expected)


def test_counts_are_those_of_rdkit() -> None:
    texts = ["CCO", "c1ccccc1C(=O)N", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "C" * 600]
    made = fingerprint.featurize([parse(text) for text in texts])  # type: ignore[misc]
    batch = fingerprint.collate(made, np.arange(len(texts)))
    maker = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048, includeChirality=True)
    for row, text in enumerate(texts):
        expected = maker.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(text))
        np.testing.assert_array_equal(batch.counts[row], np.minimum(expected, 255))
    assert batch.counts[4].max() == 255
    assert (batch.counts[2] != batch.counts[3]).any()  # enantiomers differ
    for start, stop in zip(made.bit_starts, made.bit_starts[1:], strict=False):
        assert (np.diff(made.bits[start:stop].astype(int)) > 0).all()


def test_ethanol_by_hand() -> None:
    made = fingerprint.featurize([parse("OCC"), None])  # type: ignore[list-item]
    assert {z: int(n) for z, n in enumerate(made.elements[0]) if n} == {1: 6, 6: 2, 8: 1}
    named = dict(zip(fingerprint.NAMES, made.descriptors[0].tolist(), strict=True))
    assert named["HeavyAtomCount"] == 3
    assert named["NumHDonors"] == named["fr_Al_OH"] == 1
    assert named["MolWt"] == pytest.approx(46.069)
    assert np.isnan(made.descriptors[1]).all()
    assert made.elements[1].sum() == 0
    types = {name: getattr(made, name).dtype.name for name in made.COLUMNS}
    assert types == {
        "ok": "uint8",
        "bits": "uint16",
        "counts": "uint8",
        "descriptors": "float32",
        "elements": "uint16",
    }


def test_values_never_are_infinite() -> None:
    texts = [*HARD, "C" * 300, "C1" + "CC2" * 60 + "C1" + "".join("C2" for _ in range(60))]
    told = [parse(text) for text in texts]
    made = fingerprint.featurize([one if isinstance(one, Molecule) else None for one in told])
    assert not np.isinf(made.descriptors).any()


def test_a_worker_for_graphs_does_not_load_the_table_of_descriptors() -> None:
    check = (
        "import sys\nfrom tetramer.views.read import job\n"
        "options = {'views': {'graph': {}}, 'standard': {}}\njob(['CCO', 'C1CC'], options, lambda place: None)\n"
        "print([name for name in ('rdkit.Chem.Descriptors', 'torch', 'sklearn', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_burden_spectra_end_at_300_atoms_and_nothing_else_does() -> None:
    told = dict(zip(fingerprint.NAMES, descriptors.describe(Chem.MolFromSmiles("C" * 301)), strict=True))
    assert {name for name, value in told.items() if np.isnan(value)} == set(descriptors.BCUT)
    small = descriptors.describe(Chem.MolFromSmiles("C" * 300))
    assert np.isfinite(small).all()
