"""A structure as a drawing: SMILES → SVG; several of them on one sheet, SVG or PNG."""

from collections.abc import Mapping, Sequence
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem.Draw import rdMolDraw2D
from rdkit.Chem.rdChemReactions import ReactionFromSmarts

from tetramer.molecules.motifs import partition
from tetramer.molecules.parse import Molecule, Rejected, Standard, parse
from tetramer.molecules.reactions import ROLES, parts_of, read_as_one

DRAWABLE = Standard(max_atoms=200)  # a drawing of more is a tangle and may take minutes
PLACE, ACROSS = (220, 170), 6  # pixels of a structure on a sheet, and how many of them lie side by side
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
    """The structure as SVG text with a transparent ground, `width` × `height` pixels; of a reaction both sides.

    None where there is nothing to draw: the SMILES is refused, or has more than 200 heavy atoms.
    """
    with rdBase.BlockLogs():
        if len(parts_of(smiles)) == len(ROLES):
            reaction = read_as_one(smiles, DRAWABLE)
            return None if isinstance(reaction, Rejected) else drawn_reaction(reaction.smiles, width, height)
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
    options = styled(canvas)
    options.clearBackground = False
    options.highlightRadius, options.highlightBondWidthMultiplier = 0.36, 18
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
    return without_prolog(str(canvas.GetDrawingText()))


def drawn_reaction(smiles: str, width: int, height: int) -> str:
    """The drawing of a reaction that was read before: reactants, an arrow with the reagents, products."""
    canvas = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = styled(canvas)
    options.clearBackground, options.scaleBondWidth = False, True  # large reactions are drawn small
    options.flagCloseContactsDist = -1  # or atoms of a small drawing are marked red
    canvas.DrawReaction(ReactionFromSmarts(smiles, useSmiles=True))
    canvas.FinishDrawing()
    return without_prolog(str(canvas.GetDrawingText()))


def draw_grid(smiles: Sequence[str], legends: Sequence[str], png: bool = False) -> bytes:
    """Structures side by side on white, a legend under each; a file of SVG, or a PNG of twice as many pixels.

    What cannot be drawn leaves its place empty. A sheet without structures has one empty place.
    """
    with rdBase.BlockLogs():
        read = [parse(text, DRAWABLE) for text in smiles]
    mols = [Chem.Mol() if isinstance(one, Rejected) else one.mol for one in read] or [Chem.Mol()]
    size = 2 if png else 1
    wide, high = PLACE[0] * size, PLACE[1] * size
    sheet = (wide * min(ACROSS, len(mols)), high * -(-len(mols) // ACROSS), wide, high)
    canvas = rdMolDraw2D.MolDraw2DCairo(*sheet) if png else rdMolDraw2D.MolDraw2DSVG(*sheet)
    options = styled(canvas, size)
    options.legendFontSize, options.legendFraction = 13 * size, 0.1
    options.includeMetadata = False  # no structures within the picture's file
    canvas.DrawMolecules(mols, legends=[*legends] or [""])
    canvas.FinishDrawing()
    text = canvas.GetDrawingText()
    return text if isinstance(text, bytes) else without_prolog(text).encode()


def styled(canvas: Any, size: int = 1) -> Any:  # noqa: ANN401 (RDKit's stubs do not name the options)
    """The options of a canvas, set as all drawings have them; `size`: pixels where a plain drawing has one."""
    options = canvas.drawOptions()
    options.padding = 0.06
    options.bondLineWidth = 1.6 * size
    options.fixedBondLength = 26 * size  # pixels at most, so that ethanol is not drawn as large as a steroid
    options.minFontSize, options.maxFontSize = 7 * size, 15 * size
    options.updateAtomPalette(COLOURS)
    return options


def without_prolog(text: str) -> str:
    """SVG without RDKit's first line, which names an encoding that is not ours."""
    return text[text.index("<svg") :]
