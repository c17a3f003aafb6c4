"""What a molecule is made of, counted: rings, as RDKit finds them in the molecule itself."""

import numpy as np
from rdkit import Chem

from tetramer.molecules import Limits
from tetramer.views import pieces
from tetramer.views.read import read


def test_rings_of_a_graph_are_those_that_rdkit_finds_in_its_molecule() -> None:
    """By size, none for a text that is no molecule; the symmetric set of cubane has six rings."""
    texts = ["CC", "C1CC1", "C1CC1C1CCC1", "c1ccc2ccccc2c1", "C1CCCCCCCCCCCCCCC1", "x1", "C1CC1.C1CCC1"]
    found = pieces.rings(read(texts, ["graph"], limits=Limits(0)).features["graph"]).toarray()
    wanted = [[0] * 4, [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1], [0] * 4, [1, 1, 0, 0]]
    np.testing.assert_array_equal(found, wanted)
    for text in ("C12C3C4C1C5C2C3C45", "C1CC2CCC1CC2", "C1CC2C3CCC(C3)C2C1", "C1COCCOCCOCCO1"):
        sizes = pieces.ring_kinds(read([text], ["graph"], limits=Limits(0)).features["graph"])[1]
        molecule = Chem.MolFromSmiles(text)
        rings = molecule.GetRingInfo().AtomRings()
        assert sorted(sizes) == sorted(len(ring) for ring in rings)
