"""A structure as a drawing: SMILES → SVG."""

from typing import Any

from rdkit import rdBase
from rdkit.Chem.Draw import rdMolDraw2D

from tetramer.molecules.parse import Rejected, Standard, parse

DRAWABLE = Standard(max_atoms=200)  # a drawing of more is a tangle and may take minutes
INK = (0.13, 0.16, 0.21)
# atomic number → colour that stays readable on white; RDKit's own green and yellow do not
COLOURS = dict.fromkeys((-1, 1, 6), INK) | {
    7: (0.12, 0.35, 0.68),
    8: (0.75, 0.18, 0.14),
    9: (0.16, 0.48, 0.30),
    15: (0.76, 0.38, 0.06),
    16: (0.58, 0.44, 0.00),
    17: (0.16, 0.48, 0.30),
    35: (0.55, 0.23, 0.10),
    53: (0.42, 0.18, 0.55),
}


def draw(smiles: str, width: int = 260, height: int = 180) -> str | None:
    """The structure as SVG text with a transparent ground, `width` × `height` pixels.

    None where there is nothing to draw: the SMILES is refused, or has more than 200 heavy atoms.
    """
    with rdBase.BlockLogs():
        molecule = parse(smiles.strip(), DRAWABLE)
    if isinstance(molecule, Rejected):
        return None
    canvas = rdMolDraw2D.MolDraw2DSVG(width, height)
    options: Any = canvas.drawOptions()
    options.clearBackground = False
    options.padding = 0.06
    options.bondLineWidth = 1.6
    options.fixedBondLength = 26  # pixels at most, so that ethanol is not drawn as large as a steroid
    options.minFontSize, options.maxFontSize = 7, 15
    options.updateAtomPalette(COLOURS)
    rdMolDraw2D.PrepareAndDrawMolecule(canvas, molecule.mol)
    canvas.FinishDrawing()
    text = str(canvas.GetDrawingText())
    return text[text.index("<svg") :]  # without RDKit's prolog, which names an encoding that is not ours
