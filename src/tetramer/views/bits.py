"""Which Morgan environments occur in molecules, as bits: for comparing pairs, where no other feature is needed."""

from collections.abc import Sequence

import numpy as np
from rdkit import rdBase

from tetramer.molecules import Molecule, parse
from tetramer.molecules.reactions import parts_of
from tetramer.views.fingerprint import BITS, morgan


def environments(smiles: Sequence[str]) -> np.ndarray:
    """(n, 2048) bool, the bits of the fingerprint view (radius 2, chirality on), read in this process.

    smiles: (n) of molecules that were accepted before; of a reaction its products count. A text that cannot be read has
    no bit.
    """
    bits = np.zeros((len(smiles), BITS), bool)
    with rdBase.BlockLogs():
        for row, text in enumerate(smiles):
            molecule = parse(parts_of(text)[-1])
            if isinstance(molecule, Molecule):
                bits[row, list(morgan().GetCountFingerprint(molecule.mol).GetNonzeroElements())] = True
    return bits
