"""Text → Molecule | Rejected: the one place where a structure is read, standardised and put in canonical order."""

import logging
import re
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from rdkit import Chem, RDLogger, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from tetramer.errors import UserError

HARD_CAP = 5_000  # heavy atoms; above, canonicalisation is known to crash the process
BLOCK_END = "M  END"  # a text that holds this line is a mol block, not SMILES

PLAIN = Chem.SmilesParserParams()
PLAIN.parseName = PLAIN.allowCXSMILES = False  # otherwise the rest of the line becomes the molecule's name
UNCHECKED = Chem.SmilesParserParams()
UNCHECKED.parseName = UNCHECKED.allowCXSMILES = UNCHECKED.sanitize = False


@dataclass(frozen=True)
class Standard:
    """How a structure is read; part of every cache key and of every model card.

    The default keeps the molecule as it is and only makes its SMILES canonical. `salts="largest"` keeps the largest
    organic fragment, `charges="neutral"` removes charges that protons can remove, `tautomers="canonical"` takes
    RDKit's canonical tautomer (it may erase stereocentres that take part in the tautomerism).
    """

    salts: str = "keep"  # keep | largest
    charges: str = "keep"  # keep | neutral
    tautomers: str = "keep"  # keep | canonical
    max_chars: int = 10_000
    max_atoms: int = 1_000  # heavy atoms

    def __post_init__(self) -> None:
        for name, other in (("salts", "largest"), ("charges", "neutral"), ("tautomers", "canonical")):
            if getattr(self, name) not in ("keep", other):
                raise UserError(f"{name}={getattr(self, name)!r} is not known. Choose keep or {other}.")
        if not 1 <= self.max_atoms <= HARD_CAP:
            raise UserError(f"max_atoms={self.max_atoms} is out of range. Choose 1 to {HARD_CAP}.")

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


@dataclass(frozen=True)
class Rejected:
    """Input that did not become a Molecule, and why."""

    text: str
    code: str  # EMPTY CONTROL_CHAR TOO_LONG PARSE SANITIZE TOO_BIG; TIMEOUT CRASH OOM come from the pool
    reason: str


def parse(text: str, standard: Standard = Standard()) -> Molecule | Rejected:  # noqa: B008 (frozen)
    """Read one SMILES."""
    refused = look(text, standard)
    if refused is not None:
        return refused
    mol = Chem.MolFromSmiles(text, PLAIN)
    if mol is None:
        return explain(text)
    return finish(text, mol, standard)


def parse_block(block: str, standard: Standard = Standard()) -> Molecule | Rejected:  # noqa: B008 (frozen)
    """Read one mol block (V2000 or V3000), as SDF files hold them; hydrogens become implicit."""
    if len(block) > 100 * standard.max_chars:
        return Rejected(block, "TOO_LONG", f"{len(block)} characters; the limit is {100 * standard.max_chars}")
    with RDLog() as log:
        mol = Chem.MolFromMolBlock(block, sanitize=True, removeHs=True)
    if mol is None:
        raw = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
        code = "PARSE" if raw is None else "SANITIZE"
        return Rejected(block, code, log.sentence or "RDKit cannot read this mol block")
    return finish(block, mol, standard)


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


def finish(text: str, mol: Chem.Mol, standard: Standard) -> Molecule | Rejected:
    """Caps, standardisation and canonical order for a sanitised Mol."""
    heavy = mol.GetNumHeavyAtoms()
    if mol.GetNumAtoms() == 0:
        return Rejected(text, "EMPTY", "no atoms")
    if heavy > standard.max_atoms or mol.GetNumAtoms() > 2 * standard.max_atoms + 10:
        return Rejected(text, "TOO_BIG", f"{heavy} heavy atoms; the limit is {standard.max_atoms}")
    if not standard.keeps:
        try:
            mol = standardise(mol, standard)
        except (Chem.MolSanitizeException, ValueError, RuntimeError) as error:
            return Rejected(text, "SANITIZE", f"standardisation failed: {str(error).splitlines()[0]}")
    if mol.HasProp("_smilesAtomOutputOrder"):
        mol.ClearProp("_smilesAtomOutputOrder")
    numbers = ":" in text  # atom-map numbers are labels of a drawing, not chemistry
    if numbers:
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(0)
    try:
        smiles = Chem.MolToSmiles(mol)
    except (Chem.MolSanitizeException, ValueError, RuntimeError) as error:
        return Rejected(text, "SANITIZE", f"no canonical SMILES: {str(error).splitlines()[0]}")
    order = [int(i) for i in mol.GetProp("_smilesAtomOutputOrder")[1:-1].rstrip(",").split(",")]
    return Molecule(smiles, Chem.RenumberAtoms(mol, order), np.array(order))


def standardise(mol: Chem.Mol, standard: Standard) -> Chem.Mol:
    """Salts, then charges, then tautomers, each only if asked."""
    if standard.salts == "largest":
        mol = rdMolStandardize.LargestFragmentChooser(preferOrganic=True).choose(mol)
    if standard.charges == "neutral":
        mol = rdMolStandardize.Uncharger().uncharge(mol)
    if standard.tautomers == "canonical":
        mol = tautomers().Canonicalize(mol)
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)  # labels may have changed with the neighbours
    return mol


@cache
def tautomers() -> rdMolStandardize.TautomerEnumerator:
    """RDKit's tautomer enumerator with its defaults; making one is slow."""
    return rdMolStandardize.TautomerEnumerator()


def explain(text: str) -> Rejected:
    """Tell a text that is no SMILES from a molecule that RDKit refuses, in RDKit's own words."""
    if ">" in text and "->" not in text and "<-" not in text:
        return Rejected(text, "PARSE", "a reaction arrow '>'; give one molecule, not a reaction")
    with RDLog() as log:
        raw = Chem.MolFromSmiles(text, UNCHECKED)
        if raw is None:
            return Rejected(text, "PARSE", log.sentence or "RDKit cannot read this SMILES")
        try:
            Chem.SanitizeMol(raw)
        except (Chem.MolSanitizeException, ValueError, RuntimeError) as error:
            return Rejected(text, "SANITIZE", str(error).splitlines()[0])
    return Rejected(text, "SANITIZE", log.sentence or "RDKit refuses this structure")


class RDLog:
    """Within the block RDKit's errors are kept instead of printed; `sentence` is the most telling of them."""

    def __enter__(self) -> Self:
        self._kept: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self._kept.append(record.getMessage())  # type: ignore[method-assign]
        logger = logging.getLogger("rdkit")
        self._before = logger.handlers, logger.propagate, logger.level
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.ERROR)
        rdBase.LogToPythonLogger()
        logger.handlers = [handler]  # RDKit adds one of its own
        RDLogger.EnableLog("rdApp.error")
        return self

    def __exit__(self, *_: object) -> None:
        RDLogger.DisableLog("rdApp.error")
        rdBase.LogToCppStreams()
        logger = logging.getLogger("rdkit")
        logger.handlers, logger.propagate = self._before[:2]
        logger.setLevel(self._before[2])

    @property
    def sentence(self) -> str:
        """The first error, without its time stamp and without the text it repeats."""
        if not self._kept:
            return ""
        first = re.sub(r"^\[[\d:]+\] ?", "", self._kept[0].splitlines()[0])
        return re.sub(r" (for input|while parsing):.*$", "", first)[:200]
