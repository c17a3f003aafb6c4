"""Topological indices, number for number as RDKit has them, from one look at atoms and bonds.

RDKit computes each of these in Python, or enumerates paths anew for each; `descriptors` calls them once a molecule.
"""

from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors
from rdkit.ML.InfoTheory.rdInfoTheory import InfoEntropy

TABLE = Chem.GetPeriodicTable()
OUTER = np.array([TABLE.GetNOuterElecs(number) for number in range(119)])  # valence electrons by atomic number
PERIOD = np.searchsorted([2, 10, 18, 36, 54, 86], np.arange(119)) + 1.0  # principal quantum number of the shell
FAR = 1e6  # RDKit's distance between fragments is above


@dataclass(frozen=True)
class Skeleton:
    """One molecule as arrays: n atoms, m bonds."""

    atoms: list[Chem.Atom]  # kept, since to ask RDKit for one costs more than to ask the atom
    numbers: np.ndarray  # (n,) atomic numbers
    hydrogens: np.ndarray  # (n,)
    degrees: np.ndarray  # (n,) neighbours that are there
    ends: np.ndarray  # (m, 2) lower and upper atom, in RDKit's order of bonds
    orders: np.ndarray  # (m,) 1.5 where aromatic

    @classmethod
    def of(cls, mol: Chem.Mol) -> "Skeleton":
        """Look at every atom and bond once."""
        atoms, bonds = list(mol.GetAtoms()), list(mol.GetBonds())
        ends = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in bonds], np.int64).reshape(-1, 2)
        orders = [1.5 if b.GetIsAromatic() else b.GetBondTypeAsDouble() for b in bonds]
        return cls(
            atoms,
            np.array([atom.GetAtomicNum() for atom in atoms]),
            np.array([atom.GetTotalNumHs() for atom in atoms]),
            np.bincount(ends.reshape(-1), minlength=len(atoms)),
            np.sort(ends, axis=1),
            np.array(orders),
        )


def in_order(values: np.ndarray) -> float:
    """The sum, term by term from the first: the last digit is that of a loop."""
    return float(np.cumsum(values)[-1]) if len(values) else 0.0


def estate(mol: Chem.Mol, shape: Skeleton) -> np.ndarray:
    """(n,) electrotopological states (Hall, Mohney, Kier 1991, doi:10.1021/ci00001a012)."""
    bonded = shape.degrees > 0
    own = (4.0 / (PERIOD * PERIOD))[shape.numbers] * (OUTER[shape.numbers] - shape.hydrogens) + 1
    own = np.where(bonded, own / np.where(bonded, shape.degrees, 1), 0.0)
    apart = Chem.GetDistanceMatrix(mol, useBO=False, useAtomWts=False) + 1
    pulls = np.where(apart < FAR, (own[None, :] - own[:, None]) / (apart * apart), 0.0)  # [j, i]: what j does to i
    return np.asarray(pulls.sum(axis=0) + own)  # the first axis is summed row by row


def balaban(shape: Skeleton, apart: np.ndarray) -> float:
    """Balaban's J (1982, doi:10.1016/0009-2614(82)80009-2); `apart` (n, n): distances with bond orders."""
    reach = apart.sum(axis=0)
    low, high = shape.ends[np.lexsort((shape.ends[:, 1], shape.ends[:, 0]))].T
    total = in_order(1.0 / np.sqrt(reach[low] * reach[high]))
    rings = len(shape.ends) - len(shape.numbers) + 1
    return len(shape.ends) / (rings + 1) * total if rings + 1 else 0.0


def bertz(shape: Skeleton, apart: np.ndarray) -> float:
    """Bertz's complexity (1981, doi:10.1021/ja00402a071), in RDKit's form with its cutoff of 100 neighbours."""
    size = len(shape.numbers)
    if size < 2:
        return 0.0
    rows = np.rint(np.sort(apart, axis=1)[:, :100] * 1e4).astype(np.int64)  # alike to four digits
    seen: dict[bytes, int] = {}
    kind = [seen.setdefault(row.tobytes(), len(seen)) for row in rows]  # atoms that see the same distances
    near: list[list[tuple[int, float]]] = [[] for _ in range(size)]
    for (low, high), order in zip(shape.ends.tolist(), shape.orders.tolist(), strict=True):
        near[low].append((high, order))
        near[high].append((low, order))
    links: dict[tuple[int, ...], float] = {}
    for hinge, around in enumerate(near):
        around.sort()
        here = kind[hinge]
        for place, (atom, order) in enumerate(around):
            there = kind[atom]
            if order > 1 and atom > hinge:
                key: tuple[int, ...] = (here, there) if here < there else (there, here)
                links[key] = links.get(key, 0) + order * (order - 1) / 2
            for other, second in around[place + 1 :]:
                last = kind[other]
                key = (there, here, last) if there < last else (last, here, there)
                links[key] = links.get(key, 0) + order * second
    elements: dict[int, int] = {}
    for number in shape.numbers.tolist():
        elements[number] = elements.get(number, 0) + 1
    counts = np.array(list(links.values()) or [1], float)
    total = sum(links.values()) or 1
    bonding = total * (InfoEntropy(counts) + np.log(total) / np.log(2))
    return float(size * InfoEntropy(np.array(list(elements.values()), float)) + bonding)


def degrees(shape: Skeleton) -> tuple[float, float]:
    """Chi0 and Chi1, the connectivity of atoms and of bonds by the number of neighbours."""
    bonded = shape.degrees[shape.degrees > 0]
    pairs = shape.degrees[shape.ends].prod(axis=1)
    return in_order(np.sqrt(1.0 / bonded)), in_order(np.sqrt(1.0 / pairs))


def has_small_ring(mol: Chem.Mol) -> bool:
    """Whether a ring of three or four atoms is there, which RDKit's paths walk in ways of their own."""
    return any(len(ring) < 5 for ring in mol.GetRingInfo().AtomRings())


def chi(shape: Skeleton) -> np.ndarray | None:
    """Chi2, Chi3, Chi4, each with valence (v) and simple (n) deltas: (3, 2). Hall and Kier, Rev. Comput. Chem. 2, 367.

    Sums over paths of two, three and four bonds of the product of d = delta^(-1/2) along the path, in closed form: a
    path of two bonds is a pair of neighbours of its middle atom, one of three a pair of ends of its middle bond, one of
    four a pair of paths that meet in its middle. Holds if no ring is smaller than five; None where RDKit's deltas are
    special.
    """
    numbers, low, high = shape.numbers, *shape.ends.T
    simple = OUTER[numbers] - shape.hydrogens
    core = np.where(numbers > 10, numbers - OUTER[numbers] - 1, 1)
    if (numbers < 2).any() or (simple < 0).any() or (core < 1).any():
        return None
    deltas = np.stack([simple / core, simple.astype(float)])  # (2, n)
    d = np.where(deltas > 0, 1 / np.sqrt(np.where(deltas > 0, deltas, 1)), 0.0)
    size = len(numbers)
    centre, leaf = np.concatenate([low, high]), np.concatenate([high, low])  # (2m,) both directions

    def around(values: np.ndarray) -> np.ndarray:
        """(2, 2m) one value a direction → (2, n) summed at the centre."""
        return np.stack([np.bincount(centre, row, size) for row in values])

    sums = around(d[:, leaf])
    two = (d * (sums**2 - around(d[:, leaf] ** 2)) / 2).sum(axis=1)
    three = (d[:, low] * d[:, high] * (sums[:, low] - d[:, high]) * (sums[:, high] - d[:, low])).sum(axis=1)
    arms = d[:, leaf] * (sums[:, leaf] - d[:, centre])  # paths of two bonds that start at the centre
    four = (d * (around(arms) ** 2 - around(arms**2)) / 2).sum(axis=1)
    return np.stack([two, three, four])


def kappa(mol: Chem.Mol, shape: Skeleton) -> tuple[float, float, float] | None:
    """Kappa2, Kappa3 and Phi (same source), the paths counted in closed form; None as for `chi`."""
    if (shape.numbers < 2).any():
        return None
    size, alpha = len(shape.numbers), rdMolDescriptors.CalcHallKierAlpha(mol)
    low, high = shape.degrees[shape.ends].T
    two = float((shape.degrees * (shape.degrees - 1)).sum() // 2) + alpha
    three = float(((low - 1) * (high - 1)).sum()) + alpha
    second = (size + alpha - 1) * (size + alpha - 2) ** 2 / two**2 if two else 0.0
    lead = size + alpha - (1 if size % 2 else 2)
    third = lead * (size + alpha - 3) ** 2 / three**2 if three else 0.0
    return second, third, rdMolDescriptors.CalcKappa1(mol) * second / size
