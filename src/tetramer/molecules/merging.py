"""Neighbouring motifs that occur together, joined: byte-pair encoding on the graph of motifs, if one wants it.

Of all unions of two neighbours the most frequent becomes a motif, then again, as often as asked. Within a molecule
unions are made by the canonical rank of their first atom, each atom in one at most, so the order in which atoms were
given does not matter.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

from rdkit import Chem

from tetramer.molecules.motifs import KINDS, Partition, cut_at, cut_bonds, described, opened
from tetramer.molecules.parse import Molecule


class Joining:
    """One molecule while its motifs are joined: the bonds still cut, and the union that each of them would give."""

    def __init__(self, molecule: Molecule) -> None:
        self.molecule = molecule
        told = cut_at(molecule, cut_bonds(molecule.mol))
        self.owner = told.motif.tolist()  # first motif of each atom's group
        pairs = [(int(one), int(other)) for one, other in told.cuts]
        self.cuts = {pair: molecule.mol.GetBondBetweenAtoms(*pair).GetIdx() for pair in pairs}
        self.unions = {pair: self.union(pair) for pair in self.cuts}

    def around(self, groups: set[int]) -> list[tuple[int, int]]:
        """The cuts with an end in one of some groups, sorted."""
        return sorted(pair for pair in self.cuts if {self.owner[pair[0]], self.owner[pair[1]]} & groups)

    def union(self, pair: tuple[int, int]) -> str:
        """SMILES of the motif that there would be without this cut."""
        groups = {self.owner[atom] for atom in pair}
        broken = opened(self.molecule, [self.cuts[other] for other in self.around(groups) if other != pair])
        part = next(part for part in Chem.GetMolFrags(broken) if pair[0] in part)
        return described(Chem.MolFragmentToSmiles(broken, part)).token

    def join(self, token: str) -> None:
        """Make every union of this name that shares no atom with one before it."""
        groups: set[int] = set()
        for pair in sorted(self.cuts, key=self.rank):
            both = {self.owner[atom] for atom in pair}
            if self.unions[pair] == token and not both & groups:
                groups |= both
                del self.cuts[pair], self.unions[pair]
                low, high = min(both), max(both)
                self.owner = [low if group == high else group for group in self.owner]
        for pair in self.around(groups):
            self.unions[pair] = self.union(pair)

    def rank(self, pair: tuple[int, int]) -> tuple[int, int, int]:
        """Canonical rank of the first atom of a union, then the cut."""
        return (min(self.owner.index(self.owner[atom]) for atom in pair), *pair)

    def settle(self, rank: Mapping[str, int]) -> None:
        """Join, of the unions that have a rank, the first again and again, until none is left."""
        while names := [token for token in self.unions.values() if token in rank]:
            self.join(min(names, key=rank.__getitem__))

    def partition(self) -> Partition:
        """What it has become."""
        return cut_at(self.molecule, [self.cuts[pair] for pair in sorted(self.cuts)])


def merged(molecule: Molecule, merges: Sequence[str]) -> Partition:
    """The partition of a molecule with all unions that were learned, in the order in which they were."""
    one = Joining(molecule)
    one.settle({token: place for place, token in enumerate(merges)})
    return one.partition()


def learn_merges(molecules: Sequence[Molecule], count: int, least: int = 2) -> list[str]:
    """At most `count` unions that occur at least `least` times, the most frequent first, of equal ones the smaller.

    Only molecules that hold a union are looked at again when it is made. The order of the molecules does not matter.
    """
    state = [Joining(molecule) for molecule in molecules]
    counts: Counter[str] = Counter()
    holders: defaultdict[str, set[int]] = defaultdict(set)

    def note(row: int, sign: int) -> None:
        for token in state[row].unions.values():
            counts[token] += sign
            holders[token].add(row)

    for row in range(len(state)):
        note(row, 1)
    learned: dict[str, int] = {}
    while len(learned) < count and (most := max(counts.values(), default=0)) >= least:
        token = min((name for name, told in counts.items() if told == most), key=lambda name: (size(name), name))
        learned[token] = len(learned)
        for row in holders.pop(token):
            note(row, -1)
            state[row].settle(learned)
            note(row, 1)
    return list(learned)


@lru_cache(maxsize=KINDS)
def size(token: str) -> int:
    """Atoms of a motif, its dummies left out."""
    return int(Chem.MolFromSmiles(token).GetNumHeavyAtoms())
