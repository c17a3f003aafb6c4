"""Text → Molecule | Rejected: the one place where a structure is read, standardised and put in canonical order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from tetramer.errors import UserError
from tetramer.molecules import overlay
from tetramer.molecules.geometry import Frame, Given, announced, is_spatial, is_xyz, positions_of, read_xyz, separated

HARD_CAP = 5_000  # heavy atoms; above, canonicalisation is known to crash the process
BLOCK_END = "M  END"  # a text that holds this line is a mol block, not SMILES

# By default the rest of a line becomes the molecule's name. (RDKit's stubs have the types of these fields wrong.)
PLAIN = Chem.SmilesParserParams()
PLAIN.parseName = False  # type: ignore[assignment]
PLAIN.allowCXSMILES = False  # type: ignore[assignment]
UNCHECKED = Chem.SmilesParserParams()
UNCHECKED.parseName = False  # type: ignore[assignment]
UNCHECKED.allowCXSMILES = False  # type: ignore[assignment]
UNCHECKED.sanitize = False  # type: ignore[assignment]

FAILURES = (Chem.MolSanitizeException, ValueError, RuntimeError)  # what RDKit raises about one molecule
INPUT_PLACE = "_tetramerPlace"  # atom property: its number in the input


@dataclass(frozen=True)
class Standard:
    """How a structure is read; part of every cache key and of every model card.

    The default keeps the molecule as it is and only makes its SMILES canonical. `salts="largest"` keeps the largest
    organic fragment, and the whole where no fragment has carbon; `charges="neutral"` removes charges that protons can
    remove, `tautomers="canonical"` takes RDKit's canonical tautomer (it may erase stereocentres that take part in the
    tautomerism).
    """

    salts: str = "keep"  # keep | largest
    charges: str = "keep"  # keep | neutral
    tautomers: str = "keep"  # keep | canonical
    reactions: bool = False  # whether texts are reactions, LEFT>>RIGHT or LEFT>REAGENTS>RIGHT, and no molecules
    max_chars: int = 10_000
    max_atoms: int = 1_000  # heavy atoms

    def __post_init__(self) -> None:
        for name, other in (("salts", "largest"), ("charges", "neutral"), ("tautomers", "canonical")):
            if getattr(self, name) not in ("keep", other):
                raise UserError(f"{name}={getattr(self, name)!r} is not known. Choose keep or {other}.")
        if not 1 <= self.max_atoms <= HARD_CAP:
            raise UserError(f"max_atoms={self.max_atoms} is out of range. Choose 1 to {HARD_CAP}.")
        if self.max_chars < 1:
            raise UserError(f"max_chars={self.max_chars} is out of range. Choose 1 or more.")

    @property
    def keeps(self) -> bool:
        """Whether the molecule stays as it was given."""
        return self.salts == self.charges == self.tautomers == "keep"


@dataclass(frozen=True)
class Molecule:
    """One sanitised structure in canonical atom order. Nothing downstream sees the raw text or may edit `mol`."""

    smiles: str  # canonical, isomeric
    mol: Chem.Mol
    order: np.ndarray  # (n,) int; atom i of `mol` was atom order[i] of the input
    geometry: np.ndarray | None = (
        None  # (K, N, 3) float64 Å of K conformers if given: atoms of `mol`, then hydrogens of each in turn
    )
    roles: tuple[int, int, int] | None = None  # of a reaction: atoms of reactants, reagents, products, in this order


@dataclass(frozen=True)
class Rejected:
    """Input that did not become a Molecule, and why."""

    text: str
    code: str  # EMPTY CONTROL_CHAR TOO_LONG PARSE SANITIZE TOO_BIG; TIMEOUT CRASH OOM come from the pool
    reason: str


def parse(text: str, standard: Standard = Standard()) -> Molecule | Rejected:
    """Read one SMILES, or geometry as XYZ text; white space around it is dropped."""
    if is_xyz(text):
        return parse_xyz(text, standard)
    text = text.strip() or text
    mol = read_mol(text, standard)
    return mol if isinstance(mol, Rejected) else finish(text, mol, standard, changed=":" in text)


def read_mol(text: str, standard: Standard) -> Chem.Mol | Rejected:
    """What RDKit makes of a SMILES that `look` lets pass."""
    refused = look(text, standard)
    if refused is not None:
        return refused
    with rdBase.BlockLogs(), rdBase.CaptureErrorLog() as log:
        mol = Chem.MolFromSmiles(text, PLAIN)
    return explain(text, sentence(log.messages)) if mol is None else mol


def parse_block(block: str, standard: Standard = Standard()) -> Molecule | Rejected:
    """Read one mol block (V2000 or V3000), as SDF files hold them; hydrogens become implicit.

    Coordinates in three dimensions are kept as its geometry, and tell its stereo; a drawing is not.
    """
    if len(block) > 100 * standard.max_chars:
        return Rejected(block, "TOO_LONG", f"{len(block)} characters; the limit is {100 * standard.max_chars}")
    with rdBase.BlockLogs():  # what it says of blocks goes to a log that cannot be captured
        mol = Chem.MolFromMolBlock(block, sanitize=True, removeHs=True)
        raw = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False) if mol is None else mol
    if raw is None:
        return Rejected(block, "PARSE", "RDKit cannot read this mol block: an unknown element, or not whole")
    if mol is None:
        return unsound(block, raw)
    if not mol.GetNumAtoms() or not is_spatial(block, mol) or oversized(block, mol, standard) is not None:
        return finish(block, mol, standard, changed=True)
    try:
        with rdBase.BlockLogs():
            full = Chem.MolFromMolBlock(block, sanitize=True, removeHs=False)
            unnumber(full)
            full = Chem.AddHs(full, addCoords=True)
            return finish_geometry(block, *separated(full, positions_of(full)[None]), standard)
    except FAILURES as error:
        return Rejected(block, "SANITIZE", first_line(error))


def parse_xyz(text: str, standard: Standard = Standard()) -> Molecule | Rejected:
    """Read geometry as XYZ text: the structure of its SMILES, if its comment has one, else that of its distances."""
    if len(text) > 100 * standard.max_chars:
        return Rejected(text, "TOO_LONG", f"{len(text)} characters; the limit is {100 * standard.max_chars}")
    count, most = announced(text), 3 * standard.max_atoms + 10
    if not 0 < count <= most:
        told = f"{count} atoms with hydrogens; the limit is {most}"
        return Rejected(text, "TOO_BIG", told) if count else Rejected(text, "EMPTY", "no atoms")
    try:
        frames = read_xyz(text)
    except ValueError as error:
        return Rejected(text, "PARSE", str(error))
    known = [mol for smiles in frames[0].smiles if (mol := of_comment(smiles, standard)) is not None]
    try:
        for mol in known:
            if (found := overlay.laid(mol, frames)) is not None:
                return finish_geometry(text, mol, *found, standard)
        if known:
            return Rejected(
                text, "PARSE", "its SMILES has other atoms or bonds than its geometry; correct it or leave it out"
            )
        return of_distances(text, frames, standard)
    except FAILURES as error:
        return Rejected(text, "SANITIZE", first_line(error))


def of_comment(smiles: str, standard: Standard) -> Chem.Mol | None:
    """The Mol of a text that may be SMILES."""
    if look(smiles, standard) is not None:
        return None
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles, PLAIN)
        if mol is not None and ":" in smiles and unnumber(mol):
            mol = Chem.RemoveHs(mol)  # a hydrogen that was only there for its number
    return mol if mol is not None and mol.GetNumAtoms() else None


def of_distances(text: str, frames: Sequence[Frame], standard: Standard) -> Molecule | Rejected:
    """The molecule of conformers without SMILES; ValueError if no bonds fit."""
    heavy = int((frames[0].numbers != 1).sum())
    if heavy > standard.max_atoms:
        return Rejected(text, "TOO_BIG", f"{heavy} heavy atoms; the limit is {standard.max_atoms}")
    with rdBase.BlockLogs():
        positions = np.stack([frame.positions for frame in frames])
        return finish_geometry(text, *separated(overlay.bonded(frames), positions), standard)


def finish_geometry(
    text: str, mol: Chem.Mol, given: Given, places: np.ndarray, standard: Standard
) -> Molecule | Rejected:
    """`finish` for a Mol whose atoms stood at `places` (n,) of the input; like atoms come by their keys."""
    told = finish(text, Chem.RenumberAtoms(mol, given.first.tolist()), standard, changed=True)
    if isinstance(told, Rejected):
        return told
    order = given.first[told.order]
    return replace(told, order=places[order], geometry=given.ordered(told.mol, order))


def look(text: str, standard: Standard) -> Rejected | None:
    """What can be refused before RDKit sees the text."""
    if not text:
        return Rejected(text, "EMPTY", "no text")
    if len(text) > standard.max_chars:
        return Rejected(text, "TOO_LONG", f"{len(text)} characters; the limit is {standard.max_chars}")
    if not text.isprintable() or " " in text:
        if not text.strip():
            return Rejected(text, "EMPTY", "only white space")
        odd = next(c for c in text if not c.isprintable() or c == " ")
        what = "white space" if odd.isspace() else f"the control character U+{ord(odd):04X}"
        return Rejected(text, "CONTROL_CHAR", f"{what} inside the SMILES; give the SMILES alone, without a name")
    if not text.isascii():
        odd = next(c for c in text if not c.isascii())
        return Rejected(text, "PARSE", f"the character {odd!r} does not occur in SMILES")
    return None


def finish(text: str, mol: Chem.Mol, standard: Standard, changed: bool) -> Molecule | Rejected:
    """Caps, standardisation and canonical order for a sanitised Mol; `changed`: it may carry atom-map numbers."""
    if mol.GetNumAtoms() == 0:
        return Rejected(text, "EMPTY", "no atoms")
    if (refused := oversized(text, mol, standard)) is not None:
        return refused
    try:
        if changed or not standard.keeps:
            with rdBase.BlockLogs():
                mol = standardise(mol, standard)
        smiles = Chem.MolToSmiles(mol)
    except FAILURES as error:
        return Rejected(text, "SANITIZE", f"no canonical form: {first_line(error)}")
    order = [int(i) for i in mol.GetProp("_smilesAtomOutputOrder")[1:-1].rstrip(",").split(",")]
    canonical = Chem.RenumberAtoms(mol, order)
    if changed or not standard.keeps:
        order = [atom.GetIntProp(INPUT_PLACE) for atom in canonical.GetAtoms()]
    return Molecule(smiles, canonical, np.array(order))


def oversized(text: str, mol: Chem.Mol, standard: Standard) -> Rejected | None:
    """The refusal of a Mol with more atoms than the limit."""
    if mol.GetNumAtoms() > standard.max_atoms:
        size = sum(atom.GetAtomicNum() != 1 for atom in mol.GetAtoms())
        if size > standard.max_atoms or mol.GetNumAtoms() > 2 * standard.max_atoms + 10:
            return Rejected(text, "TOO_BIG", f"{size} heavy atoms; the limit is {standard.max_atoms}")
    return None


def standardise(mol: Chem.Mol, standard: Standard) -> Chem.Mol:
    """Atom-map numbers away, then salts, charges and tautomers, each only if asked. Raises one of FAILURES."""
    for atom in mol.GetAtoms():
        atom.SetIntProp(INPUT_PLACE, atom.GetIdx())
    numbered = unnumber(mol)
    if numbered:
        mol = Chem.RemoveHs(mol)  # a hydrogen that was only there for its number
    if standard.salts == "largest" and any(atom.GetAtomicNum() == 6 for atom in mol.GetAtoms()):
        mol = rdMolStandardize.LargestFragmentChooser(preferOrganic=True).choose(mol)
    if standard.charges == "neutral":
        mol = rdMolStandardize.Uncharger().uncharge(mol)
    if standard.tautomers == "canonical":
        mol = tautomers().Canonicalize(mol)
    if numbered or not standard.keeps:  # labels may have changed with the neighbours
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    return mol


def unnumber(mol: Chem.Mol) -> bool:
    """Take the atom-map numbers away: labels of a drawing, not chemistry. Whether there were any."""
    numbered = [atom for atom in mol.GetAtoms() if atom.GetAtomMapNum()]
    for atom in numbered:
        atom.SetAtomMapNum(0)
    return bool(numbered)


@cache
def tautomers() -> rdMolStandardize.TautomerEnumerator:
    """RDKit's tautomer enumerator with its defaults; making one is slow."""
    return rdMolStandardize.TautomerEnumerator()


def explain(text: str, told: str) -> Rejected:
    """Tell a text that is no SMILES from a molecule that RDKit refuses; `told` is what RDKit said."""
    if ">" in text and "->" not in text and "<-" not in text:
        return Rejected(text, "PARSE", "a reaction arrow '>'; give one molecule, not a reaction")
    if text.startswith("InChI="):
        return Rejected(text, "PARSE", "an InChI; give SMILES")
    with rdBase.CaptureErrorLog():
        raw = Chem.MolFromSmiles(text, UNCHECKED)
    if raw is None:
        return Rejected(text, "PARSE", told or "RDKit cannot read this SMILES")
    return Rejected(text, "SANITIZE", told or "RDKit refuses this structure")


def unsound(text: str, raw: Chem.Mol) -> Rejected:
    """The refusal of a Mol that cannot be sanitised, with RDKit's reason."""
    try:
        with rdBase.BlockLogs():
            Chem.SanitizeMol(raw)
    except FAILURES as error:
        return Rejected(text, "SANITIZE", first_line(error))
    return Rejected(text, "SANITIZE", "RDKit refuses this structure")


def first_line(error: BaseException) -> str:
    """What an exception of RDKit says, without its stack."""
    return str(error).strip().partition("\n")[0][:200]


def sentence(log: str) -> str:
    """The first thing RDKit's log says, without time stamp and without the text it repeats; "" if it says nothing."""
    lines = (re.sub(r"^\[[\d:]+\] ?", "", line) for line in log.splitlines() if line.startswith("["))
    first = next((line for line in lines if line.strip()), "")
    first = re.sub(r" (for input|while parsing):.*$", "", first)
    place = re.search(r"mistakes (around position \d+)", log)
    return f"{first} {place[1]}"[:200] if first and place else first[:200]
