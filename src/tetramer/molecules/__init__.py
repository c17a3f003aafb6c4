"""Text → Molecule | Rejected, and what only needs a molecule: scaffolds, drawings, conformers."""

from tetramer.molecules.geometry import as_xyz
from tetramer.molecules.parse import Molecule, Rejected, Standard, parse, parse_block
from tetramer.molecules.pool import Limits, Pool
from tetramer.molecules.scaffolds import scaffold, scaffolds

__all__ = [
    "Limits",
    "Molecule",
    "Pool",
    "Rejected",
    "Standard",
    "as_xyz",
    "parse",
    "parse_block",
    "scaffold",
    "scaffolds",
]
