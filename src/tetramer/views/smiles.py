"""The SMILES view: the tokens of a molecule's canonical SMILES and, for training, of other spellings of it.

A token is what OpenSMILES calls an atom, a bond, a branch or a ring number. The vocabulary is fixed: the frequent ones
whole, and pieces of which every other one is put together, so that nothing RDKit writes is unknown.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar, Self

import numpy as np
from rdkit import Chem

from tetramer.errors import UserError
from tetramer.molecules import Molecule
from tetramer.molecules.reactions import parts_of
from tetramer.views.base import Batch, Features, Settings, gather, offsets

SPECIAL = ("<pad>", "<unknown>", "<end>", "<begin>", "<mask>")
PAD, UNKNOWN, END, BEGIN, MASK = range(len(SPECIAL))  # the numbers of the published SMILES Transformer
SIGNS = r"""
0 1 2 3 4 5 6 7 8 9 ( ) [ ] . - = # $ : / \ ~ % @ + * @@ -> <- @TH @AL @SP @TB @OH b c n o p s as se si te
"""
ELEMENTS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo
Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl
Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
# In five or more of 311,232 molecules of ChEMBL, PubChem, ZINC and its natural products, the most frequent first.
FREQUENT = """
[nH] [O-] [C@@H] [C@H] [NH+] [N+] [NH2+] [nH+] [NH3+] [n+] [C@] [C@@] [N-] [Na+] [I-] [Br-] [Cl-] [Si] [S@] [S+] [O]
[S@@] [S-] [Cl+3] [P+] [CH2] [Cl] [Sn] [Hg] [n-] [S] [C-] [c] [As] [K+] [Se] [N] [Co] [Cu+2] [CH] [PH] [SH] [B-]
[Ni] [C] [Cu] [NH] [Pb] [Fe] [Pt] [se] [Ag] [I+] [Zn] [o+] [O+] [s+] [SH+] [NH2] [Cr] [OH+] [OH] [Br] [I] [CH3]
[Zn+2] [Ba+2] [Ge] [As+] [Mg+2] [n] [Pd] [Mg+] [Mn] [NH-] [Ni+2] [P-] [B] [Li+] [P@@] [Ca+2] [Cd] [Ga] [P@] [Pt+2]
[Co+2] [Ti] [V] [Zr] %10 [Au] [Co+3] [In] [Na] [Ru] [Sb] [TlH2] [Al] [Bi] [C+] [Sr+2] [CH-] [F] [IH2] [Rh] [Sb+]
"""
VOCABULARY = (*SPECIAL, *SIGNS.split(), *ELEMENTS.split(), *FREQUENT.split())
VOCABULARY_HASH = hashlib.sha256("\n".join(VOCABULARY).encode()).hexdigest()  # what a token number means hangs on it
NUMBER = {token: number for number, token in enumerate(VOCABULARY) if number >= len(SPECIAL)}

# Every character belongs to a token, whatever it is.
TOKEN = re.compile(r"\[[^][]*\]|Br|Cl|%\d\d|%\(\d+\)|->|<-|@@|[\s\S]")
LONG_SYMBOLS = "|".join(symbol for symbol in (*ELEMENTS.split(), "as", "se", "si", "te") if len(symbol) == 2)
PIECE = re.compile(rf"{LONG_SYMBOLS}|@@|@(?:TH|AL|SP|TB|OH)|[\s\S]")
MOST_VARIANTS, LONGEST = 100, 10_000


@dataclass(frozen=True)
class SmilesSettings(Settings):
    """Which spellings of a molecule are kept."""

    variants: int = 0  # random spellings beside the canonical one, for training
    longest: int = 512  # tokens; a molecule whose canonical SMILES has more is not ok, since none is ever cut

    def __post_init__(self) -> None:
        if not (0 <= self.variants <= MOST_VARIANTS and 1 <= self.longest <= LONGEST):
            raise UserError(
                f"A SMILES view needs 0 to {MOST_VARIANTS} variants of at most 1 to {LONGEST:,} tokens; "
                f"got variants={self.variants}, longest={self.longest}."
            )

    def answering(self) -> Self:
        """The canonical SMILES alone."""
        return replace(self, variants=0)


@dataclass(frozen=True)
class SmilesFeatures(Features):
    """Spellings of n molecules, each molecule's end to end: the canonical one, then V random ones."""

    COLUMNS: ClassVar[dict[str, str | None]] = {"ok": None, "lengths": None, "tokens": "token_starts"}
    lengths: np.ndarray  # (n, 1 + V) uint16 tokens of each spelling
    tokens: np.ndarray  # (N,) uint16 places in VOCABULARY, without BEGIN and END
    token_starts: np.ndarray  # (n + 1,) int64


@dataclass(frozen=True)
class SmilesBatch(Batch):
    """One spelling of each of `size` molecules, from BEGIN to END, flat."""

    tokens: np.ndarray  # (N,) int64 places in VOCABULARY
    owner: np.ndarray  # (N,) int64, ascending: which molecule each token belongs to
    place: np.ndarray  # (N,) int64 place in its spelling; BEGIN has 0


FEATURES, SETTINGS = SmilesFeatures, SmilesSettings
ABSENT = ("TOO_LONG", "more tokens than the SMILES view takes")


def split(text: str) -> list[str]:
    """A SMILES in tokens, bracket atoms whole. Joined they are the text, whatever it is."""
    return TOKEN.findall(text)


def encode(text: str) -> list[int]:
    """A SMILES as places in VOCABULARY; a token that is not there, in pieces; a character that is not, as UNKNOWN."""
    numbers: list[int] = []
    for token in split(text):
        number = NUMBER.get(token)
        numbers += [NUMBER.get(piece, UNKNOWN) for piece in PIECE.findall(token)] if number is None else [number]
    return numbers


def decode(tokens: Iterable[int]) -> str:
    """What `encode` was given, where nothing was unknown; special tokens are written by their names."""
    return "".join(VOCABULARY[number] for number in tokens)


def unknown(features: SmilesFeatures, rows: np.ndarray) -> np.ndarray:
    """(B,) int64, tokens of `rows` (B,) outside the vocabulary, in all spellings."""
    at, counts = gather(features.token_starts, rows)
    owner = np.repeat(np.arange(len(rows)), counts)
    return np.bincount(owner[features.tokens[at] == UNKNOWN], minlength=len(rows))


def featurize(
    molecules: Sequence[Molecule | None],
    tick: Callable[[int], None] = lambda place: None,
    settings: SmilesSettings = SmilesSettings(),
) -> SmilesFeatures:
    """Tokens of many molecules; None and a SMILES over the limit give a row that is not ok.

    `tick` hears the place of each molecule.
    """
    lengths = np.zeros((len(molecules), 1 + settings.variants), np.uint16)
    tokens: list[int] = []
    for place, molecule in enumerate(molecules):
        tick(place)
        if molecule is None or len(own := written(parts_of(molecule.smiles))) > settings.longest:
            continue
        several = [own, *spellings(molecule, own, settings)]
        lengths[place] = [len(numbers) for numbers in several]
        tokens += chain.from_iterable(several)
    return SmilesFeatures(
        ok=(lengths[:, 0] > 0).astype(np.uint8),
        lengths=lengths,
        tokens=np.array(tokens, np.uint16),
        token_starts=offsets(lengths.sum(1, dtype=np.int64)),
    )


def written(parts: Iterable[str]) -> list[int]:
    """`encode` of one SMILES, or of the parts of a reaction, between which one string ends and the next begins."""
    first, *others = map(encode, parts)
    return [*first, *chain.from_iterable((END, BEGIN, *numbers) for numbers in others)]


def spellings(molecule: Molecule, own: list[int], settings: SmilesSettings) -> Iterator[list[int]]:
    """Random spellings, a function of the canonical one alone; one over the limit gives way to the canonical `own`.

    RDKit keeps bonds in the order of the text it read, so the molecule is read anew from its own SMILES.
    """
    if not settings.variants:
        return
    seed = 1 + zlib.crc32(molecule.smiles.encode()) % (2**31 - 1)
    parts = parts_of(molecule.smiles)
    mols = [Chem.MolFromSmiles(part) or molecule.mol for part in parts]
    drawn = [Chem.MolToRandomSmilesVect(mol, settings.variants, randomSeed=seed) for mol in mols]
    for texts in zip(*drawn, strict=True):
        numbers = written(texts)
        yield numbers if len(numbers) <= settings.longest else own


def collate(features: SmilesFeatures, rows: np.ndarray, rng: np.random.Generator | None = None) -> SmilesBatch:
    """Gather `rows` (B,): the canonical spelling of each, or with `rng` any of its spellings, all equally likely.

    A row that is not ok has no tokens.
    """
    return spelled(features, rows, drawn(features.lengths.shape[1], len(rows), rng))


def another(features: SmilesFeatures, rows: np.ndarray, rng: np.random.Generator | None = None) -> SmilesBatch:
    """Gather `rows` (B,): the first random spelling of each, or with `rng` any of the random ones.

    Where that is the canonical one by chance, the next one stands for it; of an atom or two there is no other.
    """
    variants = features.lengths.shape[1] - 1
    assert variants, "there are random spellings"
    chosen = 1 + drawn(variants, len(rows), rng)
    for _ in range(variants - 1):
        chosen = np.where(canonical(features, rows, chosen), 1 + chosen % variants, chosen)
    return spelled(features, rows, chosen)


def canonical(features: SmilesFeatures, rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(B,) bool, whether the spelling `chosen` (B,) of each of `rows` (B,) is the canonical one, token by token."""
    lengths = features.lengths[rows].astype(np.int64)  # (B, 1 + V)
    size, start = lengths[:, 0], features.token_starts[rows]
    there = start + (np.cumsum(lengths, 1) - lengths)[np.arange(len(rows)), chosen]
    alike: np.ndarray = lengths[np.arange(len(rows)), chosen] == size
    owner = np.repeat(np.flatnonzero(alike), size[alike])
    step = np.arange(len(owner)) - np.repeat(np.cumsum(size[alike]) - size[alike], size[alike])
    differ = features.tokens[start[owner] + step] != features.tokens[there[owner] + step]
    alike[owner[differ]] = False
    return alike


def drawn(count: int, size: int, rng: np.random.Generator | None) -> np.ndarray:
    """(size,) places in [0, count), all equally likely; 0 without `rng`."""
    return np.zeros(size, np.int64) if rng is None else rng.integers(count, size=size)


def spelled(features: SmilesFeatures, rows: np.ndarray, chosen: np.ndarray) -> SmilesBatch:
    """The spelling `chosen` (B,) of each of `rows` (B,); 0 is the canonical one."""
    lengths = features.lengths[rows].astype(np.int64)  # (B, 1 + V)
    ok, each = features.ok[rows] == 1, np.arange(len(rows))
    first = features.token_starts[rows] + (np.cumsum(lengths, 1) - lengths)[each, chosen]  # (B,)
    sizes = lengths[each, chosen] + 2 * ok  # with BEGIN and END
    owner = np.repeat(each, sizes)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tokens = np.where(place == 0, BEGIN, END)
    inner = (place > 0) & (place < sizes[owner] - 1)
    tokens[inner] = features.tokens[(first[owner] + place - 1)[inner]]
    return SmilesBatch(size=len(rows), ok=ok, tokens=tokens, owner=owner, place=place)
