"""Bemis–Murcko scaffolds: rings and the chains between them."""

from collections.abc import Sequence

from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

from tetramer.errors import UserError
from tetramer.molecules.reactions import parts_of

LARGEST = 300  # heavy atoms; RDKit's decomposition takes seconds on long chains above


def scaffold(smiles: str, chirality: bool = False) -> str:
    """The scaffold of a SMILES, as SMILES; "" for a molecule without rings. Of a reaction that of its products.

    A molecule of more than 300 heavy atoms is its own scaffold. Raises UserError if RDKit cannot read the text.
    """
    with rdBase.BlockLogs():  # warnings too, such as of a hydrogen alone
        mol = Chem.MolFromSmiles(parts_of(smiles)[-1])
        if mol is None:
            raise UserError(f"{smiles!r} cannot be read as SMILES, so it has no scaffold.")
        if ":" in smiles:
            for atom in mol.GetAtoms():
                atom.SetAtomMapNum(0)  # a label of a drawing would make a scaffold of its own
        if mol.GetNumHeavyAtoms() > LARGEST:
            return str(Chem.MolToSmiles(mol, isomericSmiles=chirality))
        if not mol.GetRingInfo().NumRings():
            return ""
        return str(MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=chirality))  # type: ignore[no-untyped-call]


def scaffolds(smiles: Sequence[str], chirality: bool = False) -> list[str]:
    """The scaffold of every SMILES, in order."""
    return [scaffold(text, chirality) for text in smiles]
