"""Reaction text → Reaction | Rejected: molecules by their part in it, without atom maps.

A map says which atom of a reactant became which atom of the product, and so it is the answer to every question that
is asked of a reaction. It decides once which molecules are reactants, the ones that give an atom to a product, and is
then kept apart, in arrays that a training loss may read and nothing else; no molecule that is handed out carries it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from rdkit import Chem, rdBase

from tetramer.errors import UserError
from tetramer.molecules.parse import Molecule, Rejected, Standard, finish, read_mol

ROLES = ("reactant", "reagent", "product")  # and the order of the parts of a text
REACTANT, REAGENT, PRODUCT = range(3)
DEFAULT = Standard()
NEARLY_ALL = 0.9  # of the texts
MOST = 20  # times the limit of characters of one molecule: a reaction may have as many

ARROW = re.compile(r"(?<!-)>")  # "->" is a bond
BLANKS = re.compile(r"\s*(?<!-)>\s*")  # an arrow with what white space stands around it
GROUPS = re.compile(r"\|(?:[^|]*,)?f:([\d.]+(?:,[\d.]+)*)")

# Columns of known files, by their names without case: the text of a whole reaction, or its two sides
WHOLE = ("reaction_smiles", "reaction_smiles_mapped", "rxn_smiles", "reaction", "reactionsmiles", "rxnsmiles", "rxn")
SIDES = (
    *(
        (left + ending, right + ending)
        for ending in ("", "_mapped", "_smiles")
        for left in ("reactants", "reactant")
        for right in ("product", "products")
    ),
    ("reactant_smiles", "prod_smiles"),
)


@dataclass(frozen=True)
class Mapped:
    """A molecule of a reaction; its mol and SMILES are those of the same molecule without maps."""

    molecule: Molecule
    maps: np.ndarray  # (n,) int64 number of each atom of `molecule.mol`; 0: none. For training losses only


@dataclass(frozen=True)
class Reaction:
    """One reaction. Molecules of a part stand in the order of their canonical SMILES, equal ones as often as given."""

    reactants: tuple[Mapped, ...]  # they give an atom to a product, by the maps; without maps all that stand left
    reagents: tuple[Mapped, ...]  # all others that are no products
    products: tuple[Mapped, ...]

    @property
    def key(self) -> str:
        """Canonical SMILES of the different products, with stereo: equal for equal products."""
        return ".".join(sorted({one.molecule.smiles for one in self.products}))

    @property
    def parts(self) -> tuple[tuple[Mapped, ...], ...]:
        """Reactants, reagents, products."""
        return self.reactants, self.reagents, self.products


def parse_reaction(text: str, standard: Standard = DEFAULT) -> Reaction | Rejected:
    """Read `LEFT>>RIGHT` or `LEFT>MIDDLE>RIGHT`, with maps or without; what stands behind white space is dropped.

    Of it only `|f:0.1,…|` is read: numbers of fragments, counted through all parts, that are one molecule together.
    """
    with rdBase.BlockLogs():  # warnings too, such as of a hydrogen alone
        return parsed(text, standard)


def parsed(text: str, standard: Standard) -> Reaction | Rejected:
    """`parse_reaction`, but RDKit may write to its log."""
    body, *rest = text.split(None, 1) or [""]
    if len(ARROW.split(body)) < len(ROLES):  # white space before the second arrow belongs to the reaction
        body, *rest = BLANKS.sub(">", text).split(None, 1) or [""]
    if len(body) > MOST * standard.max_chars:
        return Rejected(text, "TOO_LONG", f"{len(body)} characters; the limit is {MOST * standard.max_chars}")
    if not body.strip(">"):
        return Rejected(text, "EMPTY", "no molecules" if body else "no text")
    parts = ARROW.split(body)
    if len(parts) == 1:
        return Rejected(text, "PARSE", "no reaction arrow '>'; give a reaction, LEFT>>RIGHT, not a molecule")
    if len(parts) != 3:
        told = f"{len(parts) - 1} signs '>' where a reaction has two" if len(parts) > 2 else "one sign '>'"
        return Rejected(text, "PARSE", f"{told}; give LEFT>>RIGHT or LEFT>REAGENTS>RIGHT")
    sides: list[list[Mapped]] = []
    for role, texts in zip(ROLES, fragments(parts, "".join(rest)), strict=True):
        sides.append([])
        for number, one in enumerate(texts, start=1):
            made = mapped(one, standard)
            if isinstance(made, Rejected):
                return Rejected(text, made.code, f"{role} {number}: {made.reason}")
            sides[-1].append(made)
    for part in (REACTANT, PRODUCT):
        if not sides[part]:
            return Rejected(text, "EMPTY", f"no {ROLES[part]}")
    return sorted_out(*sides)


def read_as_one(text: str, standard: Standard = DEFAULT) -> Molecule | Rejected:
    """A reaction as one structure, whose SMILES is REACTANTS>REAGENTS>PRODUCTS and whose atoms stand in that order."""
    told = parse_reaction(text, standard)
    if isinstance(told, Rejected):
        return told
    mols = [[one.molecule.mol for one in part] for part in told.parts]
    sizes = [sum(mol.GetNumAtoms() for mol in part) for part in mols]
    if sum(sizes) > standard.max_atoms:
        return Rejected(text, "TOO_BIG", f"{sum(sizes)} atoms in all; the limit is {standard.max_atoms}")
    whole = reduce(Chem.CombineMols, [mol for part in mols for mol in part])
    Chem.GetSymmSSSR(whole)  # the sizes of rings are features
    whole.UpdatePropertyCache(strict=False)
    smiles = ">".join(".".join(one.molecule.smiles for one in part) for part in told.parts)
    return Molecule(smiles, whole, np.arange(sum(sizes)), roles=(sizes[0], sizes[1], sizes[2]))


def parts_of(smiles: str) -> list[str]:
    """Reactants, reagents and products of a reaction's SMILES; of a molecule its SMILES alone."""
    return ARROW.split(smiles)


def are_reactions(texts: Sequence[str]) -> bool:
    """Whether nearly all texts that are not empty are reactions. UserError if many are and many are not."""
    found, there = counted(texts)
    if (1 - NEARLY_ALL) * there < found < NEARLY_ALL * there:
        raise UserError(
            f"{found:,} of {there:,} structures are reactions, and the others are none. "
            "Give a table of reactions or one of molecules."
        )
    return found >= NEARLY_ALL * there > 0


def most_are_reactions(texts: Sequence[str]) -> bool:
    """Whether more than half of the texts that are not empty are reactions: for those to whom a bad row is its own."""
    found, there = counted(texts)
    return 2 * found > there


def counted(texts: Sequence[str]) -> tuple[int, int]:
    """How many texts are reactions, and how many are not empty."""
    there = [text for text in texts if text.strip()]
    return sum(len(parts_of(text)) == len(ROLES) for text in there), len(there)


def fragments(parts: Sequence[str], rest: str) -> list[list[str]]:
    """The texts of the molecules in each part; fragments that `rest` groups are one, if they stand in one part."""
    cut = [part.split(".") if part else [] for part in parts]
    owner = [side for side, texts in enumerate(cut) for _ in texts]
    told = GROUPS.search(rest)
    first = list(range(len(owner)))  # fragment → the first one of its group
    for group in told[1].split(",") if told else ():
        members = sorted(int(number) for number in group.split(".") if number)
        if members and members[-1] < len(owner) and len({owner[number] for number in members}) == 1:
            for number in members:
                first[number] = members[0]
    flat = [text for texts in cut for text in texts]
    joined: dict[int, list[str]] = {}
    for number, text in enumerate(flat):
        joined.setdefault(first[number], []).append(text)
    return [[".".join(texts) for number, texts in joined.items() if owner[number] == side] for side in range(len(cut))]


def sorted_out(left: list[Mapped], middle: list[Mapped], products: list[Mapped]) -> Reaction:
    """Reactants told from reagents: they share a map number with a product; without any, the text's own parts."""
    found = {int(number) for one in products for number in one.maps if number}
    gives = [bool(found & set(one.maps.tolist())) for one in (*left, *middle)]
    if not any(gives):
        return Reaction(ordered(left), ordered(middle), ordered(products))
    told = list(zip((*left, *middle), gives, strict=True))
    reactants, reagents = ([one for one, gave in told if gave is wanted] for wanted in (True, False))
    return Reaction(ordered(reactants), ordered(reagents), ordered(products))


def ordered(some: Sequence[Mapped]) -> tuple[Mapped, ...]:
    """By canonical SMILES."""
    return tuple(sorted(some, key=lambda one: one.molecule.smiles))


def mapped(text: str, standard: Standard = DEFAULT) -> Mapped | Rejected:
    """One molecule, and the atom maps that it carried."""
    mol = read_mol(text, standard)
    if isinstance(mol, Rejected):
        return mol
    maps = np.array([atom.GetAtomMapNum() for atom in mol.GetAtoms()], np.int64)
    made = finish(text, mol, standard, changed=":" in text)
    return made if isinstance(made, Rejected) else Mapped(made, maps[made.order])


def columns_of(names: Sequence[str]) -> tuple[str, ...]:
    """The columns of a table that hold reactions: one of whole texts, or reactants and products; () for neither."""
    known = {name.strip().casefold(): name for name in reversed(names)}
    whole = next(((known[name],) for name in WHOLE if name in known), ())
    return whole or next(((known[one], known[two]) for one, two in SIDES if one in known and two in known), ())


def text_of(cells: Sequence[str]) -> str:
    """The cells of one row in `columns_of` as one text; empty if one of them is."""
    return ">>".join(cells) if all(cells) else ""
