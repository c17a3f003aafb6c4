"""What the tests of this folder share."""

import pytest

from tetramer.molecules import Molecule, Standard, parse
from tetramer.views.fingerprint import FingerprintFeatures, featurize


@pytest.fixture(scope="session")
def prints(smiles: list[str]) -> FingerprintFeatures:
    """The fingerprint view of `smiles`; row i is molecule i."""
    read = [parse(text, Standard()) for text in smiles]
    return featurize([told if isinstance(told, Molecule) else None for told in read])
