"""Graph edit distance of pairs of molecules, asked of the difference of their vectors: MolR's pairs of QM9 molecules.

The head is scikit-learn's SVR as it comes, on the signed difference of two frozen vectors; rows of counts and of a
network that has learned nothing are free. Its kernel takes all numbers of a vector together by their variance, so what
it reads is settled by the few directions in which vectors vary most. `evened` gives the next ones more weight.

Pairs share molecules, so after a split of the pairs a head knows the molecules of pairs that it has not seen; after a
split of the molecules it does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from tetramer.datasets import sources
from tetramer.datasets.partitions import Split, split_of
from tetramer.errors import UserError
from tetramer.members.ridge import Matrix
from tetramer.metrics import rmse
from tetramer.molecules import Limits
from tetramer.views import graph, pieces, read

FOLDS = 10
DEGREES = 7  # neighbours; more count as so many
TREES, RATE = 500, 0.05  # of the free row
WIDTH, ROUNDS = 512, 2  # of the network that has learned nothing
DIRECTIONS = 48  # that `evened` keeps; chosen on validation pairs, as ROUNDS is


@dataclass(frozen=True)
class EditPairs:
    """n pairs of S molecules and the exact distance of each."""

    smiles: list[str]  # (S) canonical, each once
    left: np.ndarray  # (n,) int64 which of `smiles`
    right: np.ndarray  # (n,) int64
    distance: np.ndarray  # (n,) float64 edits
    counts: sparse.csr_array  # (S, D) float64 what is counted of each molecule, for the free rows
    random: np.ndarray  # (S, WIDTH) float64 vectors of a network that has learned nothing

    def signed(self, x: Matrix) -> np.ndarray:
        """Vectors of the molecules (S, D) → of the pairs (n, D): left minus right."""
        told = x[self.left] - x[self.right]
        return told if isinstance(told, np.ndarray) else np.asarray(told.toarray())


def edit_pairs(name: str = "qm9-ged", limits: Limits | None = None) -> EditPairs:
    """The pairs of a public set. UserError if a molecule of it cannot be read."""
    table = sources.load(name)
    texts = [table.data[column].to_pylist() for column in ("smiles1", "smiles2")]
    different = list(dict.fromkeys(texts[0] + texts[1]))
    reading = read(different, ["graph"], limits=limits)
    if not reading.ok.all():
        raise UserError(f"{name!r} holds molecules that cannot be read, such as {different[reading.ok.argmin()]!r}.")
    first: dict[str, int] = {}
    place = {text: first.setdefault(smiles, len(first)) for text, smiles in zip(different, reading.smiles, strict=True)}
    kept = np.unique(np.array([place[text] for text in different]), return_index=True)[1]
    features = reading.features["graph"]
    assert isinstance(features, graph.GraphFeatures)
    left, right = (np.array([place[text] for text in column], np.int64) for column in texts)
    distance = np.array(table.data["ged"].to_pylist(), np.float64)
    counted, drawn = counts(features)[kept], random_vectors(features)[kept]
    return EditPairs(list(first), left, right, distance, counted, drawn)


def counts(features: graph.GraphFeatures) -> sparse.csr_array:
    """(n, D) atoms by element, atoms by degree, bonds by type, bonds by both elements and type, rings by size."""
    owner, first, _ = pieces.ends(features)
    atoms = pieces.owners(features.atom_starts)
    degree = np.minimum(np.bincount(first, minlength=len(atoms)), DEGREES)
    ones, halves, rows = np.ones(len(atoms)), np.full(len(first), 0.5), len(features)
    found = [
        pieces.counted(atoms, features.atoms[:, 0].astype(np.int64), ones, rows),
        pieces.counted(atoms, degree, ones, rows),
        pieces.counted(owner, features.bonds[:, 0].astype(np.int64), halves, rows),
        pieces.bonds(features),
        pieces.rings(features),
    ]
    return sparse.csr_array(sparse.hstack(found))


def random_vectors(features: graph.GraphFeatures, seed: int = 0) -> np.ndarray:
    """Sums over atoms of a network with weights as they are drawn: n molecules → (n, WIDTH).

    h = tanh(e + b), e drawn for each element and charge; then ROUNDS times
    h_v = tanh(W h_v + Σ_{u bound to v} (W_t h_u + b_t) + b), t the type of the bond, all weights of variance 1 / WIDTH
    and all b and e of variance 1. Bounded atoms tell their surroundings apart without the size of any number.
    """
    draw = np.random.Generator(np.random.Philox(seed)).standard_normal
    columns = list(graph.ATOM)
    element, charge = (features.atoms[:, columns.index(name)].astype(np.int64) for name in ("element", "charge"))
    types = graph.BOND["type"]
    _, first, second = pieces.ends(features)
    size = len(features.atoms)
    bound = [
        sparse.csr_array((np.ones(of.sum()), (second[of], first[of])), shape=(size, size))
        for of in (features.bonds[:, 0] == kind for kind in range(types))
    ]
    h = np.tanh(draw((graph.ATOM["element"], WIDTH))[element] + draw((graph.ATOM["charge"], WIDTH))[charge])
    for _ in range(ROUNDS):
        itself, *near = draw((types + 1, WIDTH, WIDTH)) / np.sqrt(WIDTH)
        shift, *shifts = draw((types + 1, WIDTH))
        told = [one @ (h @ weight + b) for one, weight, b in zip(bound, near, shifts, strict=True) if one.nnz]
        h = np.tanh(h @ itself + shift + sum(told))
    out = np.zeros((len(features.atom_starts) - 1, WIDTH))
    np.add.at(out, pieces.owners(features.atom_starts), h)
    return out


def evened(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Principal components whose standard deviations are the roots of what they were: (S, D) → (S, at most DIRECTIONS).

    They are those of `rows` of x; half way from the vectors as they are to whitened ones.
    """
    middle = x[rows].mean(axis=0)
    _, spread, axes = np.linalg.svd(x[rows] - middle, full_matrices=False)
    kept = np.flatnonzero(spread > 1e-6 * spread[0])[:DIRECTIONS]
    return np.asarray((x - middle) @ axes[kept].T / np.sqrt(spread[kept]))


def by_pair(pairs: EditPairs, seed: int = 0) -> list[Split]:
    """FOLDS splits of the pairs, 8:1:1: each tests a tenth, and the next tenth validates. Molecules are shared."""
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(pairs.distance))
    return [split_of(f"pairs-{seed}-{fold}", *parts) for fold, parts in enumerate(tenths(order))]


def by_molecule(pairs: EditPairs, seed: int = 0) -> list[Split]:
    """FOLDS splits of the molecules, 8:1:1; a pair belongs to the part of both its molecules, or to none."""
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(pairs.smiles))
    out = []
    for fold, parts in enumerate(tenths(order)):
        inside = [np.isin(pairs.left, part) & np.isin(pairs.right, part) for part in parts]
        out.append(split_of(f"molecules-{seed}-{fold}", *(np.flatnonzero(one) for one in inside)))
    return out


def tenths(order: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Train, valid and test of each fold; every number tests once."""
    ends = np.linspace(0, len(order), FOLDS + 1).astype(np.int64)
    cut = [order[one:two] for one, two in pairwise(ends)]
    every = range(FOLDS)
    rest = [[cut[k] for k in every if k not in (fold, (fold + 1) % FOLDS)] for fold in every]
    return [(np.concatenate(rest[fold]), cut[(fold + 1) % FOLDS], cut[fold]) for fold in every]


RULES: dict[str, Callable[[EditPairs, int], list[Split]]] = {"pair": by_pair, "molecule": by_molecule}


def support_vectors(x: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
    """scikit-learn's default SVR: x (n, D), y (n,), asked (m, D) → (m,).

    Its kernel exp(−‖a − b‖² / (D · variance of x)) is made here, by a matrix product.
    """
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.svm import SVR

    spread = x.var()
    learned, told = (rbf_kernel(rows, x, 1 / (x.shape[1] * spread) if spread else 1.0) for rows in (x, asked))
    return np.asarray(SVR(kernel="precomputed").fit(learned, y).predict(told))


def boosted(x: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
    """Gradient-boosted trees: x (n, D), y (n,), asked (m, D) → (m,)."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(max_iter=TREES, learning_rate=RATE, early_stopping=False, random_state=seed)
    return np.asarray(trees.fit(x, y).predict(asked))


def mean(x: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
    """The mean of what was learned from."""
    return np.full(len(asked), y.mean())


Head = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
HEADS: dict[str, Head] = {"svr": support_vectors, "boosted": boosted, "mean": mean}


def errors(
    x: Matrix,
    pairs: EditPairs,
    splits: Sequence[Split],
    head: Head = support_vectors,
    seed: int = 0,
    even: bool = False,
) -> np.ndarray:
    """RMSE on the test part of each split, fitted on its training part alone. x: (S, D) vectors of the molecules.

    even: `evened` by the molecules of the training pairs first
    """
    told, out = pairs.signed(x), []
    for split in splits:
        if even:
            seen = np.unique([pairs.left[split.train], pairs.right[split.train]])
            told = pairs.signed(evened(np.asarray(x), seen))
        answer = head(told[split.train], pairs.distance[split.train], told[split.test], seed)
        out.append(rmse(pairs.distance[split.test], answer))
    return np.array(out)
