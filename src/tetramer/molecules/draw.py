"""A structure as a drawing: SMILES → SVG."""

from collections.abc import Mapping
from typing import Any

from rdkit import rdBase
from rdkit.Chem.Draw import rdMolDraw2D

from tetramer.molecules.motifs import partition
from tetramer.molecules.parse import Molecule, Rejected, Standard, parse

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
GROUNDS = (  # light enough for INK and COLOURS to be read on them
    (0.76, 0.87, 0.97), (0.99, 0.86, 0.68), (0.80, 0.92, 0.76), (0.95, 0.80, 0.87),
    (0.86, 0.82, 0.95), (0.97, 0.94, 0.68), (0.74, 0.92, 0.91), (0.91, 0.86, 0.79),
)  # fmt: skip


def draw(smiles: str, width: int = 260, height: int = 180) -> str | None:
    """The structure as SVG text with a transparent ground, `width` × `height` pixels.

    None where there is nothing to draw: the SMILES is refused, or has more than 200 heavy atoms.
    """
    with rdBase.BlockLogs():
        molecule = parse(smiles.strip(), DRAWABLE)
    return None if isinstance(molecule, Rejected) else drawn(molecule, width, height)


def draw_motifs(smiles: str, width: int = 260, height: int = 180) -> tuple[str, dict[str, tuple[int, str]]] | None:
    """`draw` with motifs on coloured grounds; of each different motif how often it occurs, and its colour (#rrggbb).

    Equal motifs have one colour; of more than eight different ones some share it.
    """
    with rdBase.BlockLogs():
        molecule = parse(smiles.strip(), DRAWABLE)
        if isinstance(molecule, Rejected):
            return None
        told = partition(molecule)
    tokens = told.tokens
    colours = {token: GROUNDS[place % len(GROUNDS)] for place, token in enumerate(dict.fromkeys(tokens))}
    svg = drawn(molecule, width, height, {atom: colours[tokens[number]] for atom, number in enumerate(told.motif)})
    return svg, {token: (tokens.count(token), hexadecimal(colour)) for token, colour in colours.items()}


def hexadecimal(colour: tuple[float, float, float]) -> str:
    """A colour as RDKit writes it."""
    return "#" + "".join(f"{int(255 * part):02x}" for part in colour)


def drawn(
    molecule: Molecule, width: int, height: int, grounds: Mapping[int, tuple[float, float, float]] | None = None
) -> str:
    """The drawing of a molecule; atoms of one ground, and the bonds between them, lie on its colour."""
    canvas = rdMolDraw2D.MolDraw2DSVG(width, height)
    options: Any = canvas.drawOptions()
    options.clearBackground = False
    options.padding = 0.06
    options.bondLineWidth = 1.6
    options.fixedBondLength = 26  # pixels at most, so that ethanol is not drawn as large as a steroid
    options.minFontSize, options.maxFontSize = 7, 15
    options.highlightRadius, options.highlightBondWidthMultiplier = 0.36, 18
    options.updateAtomPalette(COLOURS)
    grounds, mol = grounds or {}, molecule.mol
    bonds = {}
    for bond in mol.GetBonds() if grounds else ():
        if (ground := grounds[bond.GetBeginAtomIdx()]) == grounds[bond.GetEndAtomIdx()]:
            bonds[bond.GetIdx()] = ground
    rdMolDraw2D.PrepareAndDrawMolecule(
        canvas, mol, highlightAtoms=list(grounds), highlightBonds=list(bonds),
        highlightAtomColors=dict(grounds), highlightBondColors=bonds,
    )  # fmt: skip
    canvas.FinishDrawing()
    text = str(canvas.GetDrawingText())
    return text[text.index("<svg") :]  # without RDKit's prolog, which names an encoding that is not ours
