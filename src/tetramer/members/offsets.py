"""What a member's answer is added to: a plain fit that goes on beyond the range of the training labels.

Trees and networks answer within what they have seen, or not far from it. Where a new molecule lies outside, a linear
fit is the better guess; the member then learns what that fit leaves over. Both kinds are fitted on the rows that the
member is fitted on, and travel with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tetramer.checkpoint import finite, pack, unpack
from tetramer.errors import UserError
from tetramer.members.kernels import POINTS, descriptors_of, fit_quantiles, normalise
from tetramer.members.references import Composition, Histograms, Pieces
from tetramer.training import Data
from tetramer.views.base import Features
from tetramer.views.descriptors import NAMES
from tetramer.views.fingerprint import ELEMENTS

RIDGES = tuple(10 ** (k / 2) for k in range(9))  # λ tried, beside the rows' weights, whose mean is 1
FILE = "offset.safetensors"


@dataclass(frozen=True)
class Trend:
    r"""Ridge regression on the descriptors' normal scores, :math:`\hat y = \bar y + (x - \bar x)^T w`."""

    quantiles: np.ndarray  # (Q, D)
    centre: np.ndarray  # (T, D) x̄
    weights: np.ndarray  # (T, D)
    mean: np.ndarray  # (T,) ȳ
    views: tuple[str, ...] = ("fingerprint",)

    @classmethod
    def fit(cls, data: Data, rows: np.ndarray) -> Self:
        """On the labels of `rows` (n,); a bound (">5") stands for its label. Few labels of a target: its mean."""
        assert data.values is not None
        assert data.weight is not None
        descriptors = descriptors_of(data.features, rows)
        quantiles = fit_quantiles(descriptors)
        x = normalise(descriptors, quantiles)
        fits = []
        for column in data.values[rows].T:
            known = np.isfinite(column)
            fits.append(ridge(x[known], column[known], data.weight[rows][known]))
        centre, weights, mean = (np.array(part) for part in zip(*fits, strict=True))
        return cls(quantiles, centre, weights, mean)

    def __call__(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n,) → (n, T)."""
        x = normalise(descriptors_of(features, rows), self.quantiles)
        return np.asarray(x @ self.weights.T - (self.centre * self.weights).sum(axis=1) + self.mean)

    def file(self) -> bytes:
        """What `offset_from` reads."""
        return pack({"quantiles": self.quantiles, "centre": self.centre, "weights": self.weights, "mean": self.mean})


Plain = Composition | Pieces | Histograms | Trend


@dataclass(frozen=True)
class Mixed:
    """Several fits, each of some of the targets; nothing is added to a target that none of them has."""

    parts: tuple[tuple[np.ndarray, Plain], ...]  # places of targets, (t,) int64, and their fit
    targets: int  # T

    def __call__(self, features: dict[str, Features], rows: np.ndarray) -> np.ndarray:
        """(n,) → (n, T)."""
        out = np.zeros((len(rows), self.targets))
        for places, fit in self.parts:
            out[:, places] = fit(features, rows)
        return out

    @property
    def views(self) -> tuple[str, ...]:
        """What has to be there."""
        return tuple(dict.fromkeys(view for _, fit in self.parts for view in fit.views))

    def file(self) -> bytes:
        """What `offset_from` reads."""
        arrays: dict[str, np.ndarray] = {}
        for number, (places, fit) in enumerate(self.parts):
            arrays |= {f"{number}:{name}": value for name, value in unpack(fit.file(), FILE).items()}
            arrays[f"{number}:targets"] = places
        return pack(arrays)


Offset = Plain | Mixed


def learned(kinds: Sequence[str], data: Data, rows: np.ndarray) -> tuple[Offset, np.ndarray]:
    """The fit of each target, fitted on `rows` (n,), and the labels that are left over, (N, T).

    kinds: for each target a reference of REFERENCES, "trend" or "": nothing is taken off
    """
    assert data.values is not None
    if len(set(kinds)) == 1:
        return fitted(kinds[0], data, rows)
    rest, parts = data.values.copy(), []
    for kind in dict.fromkeys(filter(None, kinds)):
        places = np.array([place for place, one in enumerate(kinds) if one == kind], np.int64)
        fit, rest[:, places] = fitted(kind, replace(data, values=data.values[:, places]), rows)
        parts.append((places, fit))
    return Mixed(tuple(parts), len(kinds)), rest


def fitted(kind: str, data: Data, rows: np.ndarray) -> tuple[Plain, np.ndarray]:
    """One fit for all targets of `data`, and the labels that it leaves over, (N, T).

    Of the rows fitted on, a wide fit leaves too little over: there stands what it would miss without the row.
    """
    assert data.values is not None
    offset: Plain
    missed = None
    if kind == "histograms":
        offset, missed = Histograms.fit(data, rows)
    elif kind == "pieces":
        offset, missed = Pieces.fit(data, rows)
    else:
        offset = Composition.fit(data, rows) if kind == "atoms" else Trend.fit(data, rows)
    rest = data.values - offset(data.features, np.arange(len(data.values)))
    if missed is not None:
        rest[rows] = missed
    return offset, rest


def ridge(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    r"""Centre (D,), weights (D,) and mean of the ridge fit whose λ has the least leave-one-out error.

    x: (n, D)   y: (n,)   weight: (n,) ≥ 0, only their ratios count

    With :math:`X^T X = V S V^T` of the centred rows, the residual of a row left out is :math:`r_i / (1 - h_i)`,
    :math:`h_i = 1/n + x_i^T V (S + λ)^{-1} V^T x_i`.
    """
    if len(y) < 3 or not weight.sum() > 0:
        return np.zeros(x.shape[1]), np.zeros(x.shape[1]), float(y.mean()) if len(y) else 0.0
    share = weight / weight.sum()
    centre, mean = share @ x, float(share @ y)
    root = np.sqrt(share * len(y))
    xs, ys = root[:, None] * (x - centre), root * (y - mean)
    values, vectors = np.linalg.eigh(xs.T @ xs)
    turned = xs @ vectors  # (n, D)
    projected = turned.T @ ys
    best: tuple[float, np.ndarray] | None = None
    for penalty in RIDGES:
        shrunk = 1.0 / (np.maximum(values, 0.0) + penalty)
        left = (ys - turned @ (shrunk * projected)) / (1 - share - (turned**2) @ shrunk)
        error = float(left @ left)
        if best is None or error < best[0]:
            best = error, vectors @ (shrunk * projected)
    assert best is not None
    return centre, best[1], mean


def reference_from(arrays: dict[str, np.ndarray], targets: int) -> Pieces | Histograms:
    """A wide reference of its arrays. UserError if they do not fit this version or each other."""
    inner = {name.removeprefix("pieces."): value for name, value in arrays.items() if "." in name}
    own = {name: value for name, value in arrays.items() if "." not in name}
    try:
        made = Histograms(**own, pieces=Pieces(**inner)) if inner else Pieces(**own)
    except TypeError as error:
        raise UserError(f"The arrays of {FILE} do not fit this version or each other. Train again.") from error
    if not made.fits(targets):
        raise UserError(f"The arrays of {FILE} do not fit this version or each other. Train again.")
    return made


def offset_from(data: bytes, targets: int) -> Offset:
    """What `file` wrote. UserError if the arrays do not fit this version or each other."""
    arrays = unpack(data, FILE)
    finite(arrays, FILE)
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        number, _, own = name.rpartition(":")
        groups.setdefault(number, {})[own] = array
    if set(groups) == {""}:
        return plain_from(arrays, targets)
    places = [groups[number].pop("targets", np.zeros(0)) for number in sorted(groups)]
    if not all(one.dtype == np.int64 and set(one.tolist()) <= set(range(targets)) for one in places):
        raise UserError(f"The arrays of {FILE} do not fit this version or each other. Train again.")
    fits = [plain_from(groups[number], len(one)) for number, one in zip(sorted(groups), places, strict=True)]
    return Mixed(tuple(zip(places, fits, strict=True)), targets)


def plain_from(arrays: dict[str, np.ndarray], targets: int) -> Plain:
    """One fit of its arrays. UserError if they do not fit this version or each other."""
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes == {"weights": (ELEMENTS, targets), "elements": (ELEMENTS,)}:
        return Composition(arrays["weights"], arrays["elements"].astype(bool))
    if "bonds" in arrays or "kinds" in arrays:
        return reference_from(arrays, targets)
    wide = (targets, len(NAMES))
    if shapes != {"quantiles": (POINTS, len(NAMES)), "centre": wide, "weights": wide, "mean": (targets,)}:
        raise UserError(f"The arrays of {FILE} do not fit this version or each other. Train again.")
    return Trend(arrays["quantiles"], arrays["centre"], arrays["weights"], arrays["mean"])
