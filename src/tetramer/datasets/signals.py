"""Questions to the labels of one target: do they contradict the composition, does the writing style tell them, and do a
few of them lie where no other does?

Numpy only. Random choices are pure functions of the number of the draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from tetramer.metrics import roc_auc

FEWEST = 50  # labels; below this composition and style are not asked for
EXPLAINED = 0.95  # R² by medians from which atom counts are said to explain a target
ENOUGH = 20  # labels of which one may be alone
FAR = 1e4  # scales from the median beyond which a label may be a slip
GAP = 100.0  # times as far as the next label: it is alone
ALONE = 0.01  # of the labels at most are alone
STAND_INS = (-9999.0, -999.0, 999.0, 9999.0)  # that people write where nothing was measured
RECURS = 3  # labels of one value that are no accident
APART = 10.0  # scales from the nearest other label
FALSE = 0.01  # share of false ones among the rows that are told to contradict
TUKEY = 4.685  # scales at which a row has no weight left in the fit; 95 % efficient for normal errors
SIGMA = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
BULK = 3.0  # scales within which a row belongs to the bulk
EXACT = 1e-6  # of the labels' spread: the least scale, as rounding errors contradict nothing
CLASS_SHARES = tuple(2.0**k / 80 for k in range(7))  # parts of the rows that are learned from, 1.25 % to 80 %
NUMBER_SHARES = (0.2, 0.4, 0.8)
DRAWS = 20
LEAST_BULK = 2 / 3  # of the rows: where fewer fit, atom counts explain nothing
MOST = 2_000  # rows of each class, or twice as many rows of a regression target, that a draw uses
FEWEST_OF_CLASS = 10
PENALTY = {"class": 1.0, "number": 10.0}  # of the square of a coefficient, for standardised characters
STYLE_GAP = 0.05
STYLE_NOISE = 3.0  # standard deviations over the draws that the gap must exceed


@dataclass(frozen=True)
class Composition:
    """How well atom counts explain a target: `explained` R² by medians, `scale` of the bulk's residuals in its unit.

    contradict: (k,) int64 places of the rows far outside the bulk, worst first; beyond: the residual from which on.
    """

    explained: float
    scale: float
    contradict: np.ndarray
    beyond: float


def composition(values: np.ndarray, counts: np.ndarray) -> Composition | None:
    """A fit on atom counts that a share of wrong labels does not bend; None with fewer than FEWEST rows.

    values: (n,) finite   counts: (n, E) atoms of each element, hydrogens included

    Least absolute residuals to begin with, then Tukey's biweight with the scale of the bulk (Huber, Robust Statistics,
    1981). Rows whose residual is too large for a normal bulk are found by Benjamini and Hochberg's rule with 1 % of
    false ones (doi:10.1111/j.2517-6161.1995.tb02031.x), so no threshold has a unit. The constant lets labels be
    shifted. A target that is an exact sum over atoms has no scale of its own and gets EXACT times its spread. Where
    less than LEAST_BULK of the rows fit, nothing is explained: some other rule happens to hold for many rows.
    """
    if len(values) < FEWEST:
        return None
    x = np.column_stack([counts[:, counts.any(0)], np.ones(len(values))]).astype(np.float64)
    x /= np.sqrt((x**2).sum(0))
    spread = SIGMA * float(np.median(np.abs(values - np.median(values))))
    if spread == 0:
        return None
    least = EXACT * spread
    weight = np.ones(len(values))
    for _ in range(30):
        residual = values - x @ _solve(x, values, weight)
        weight = 1 / np.maximum(np.abs(residual), 1e-3 * max(SIGMA * float(np.median(np.abs(residual))), least))
    for _ in range(20):
        reach = np.minimum(np.abs(residual) / (TUKEY * max(bulk_scale(residual), least)), 1)
        residual = values - x @ _solve(x, values, (1 - reach**2) ** 2)
    scale = max(bulk_scale(residual), least)
    size = np.abs(residual) / scale
    worst = np.argsort(-size, kind="stable")
    found = _beyond_chance(size[worst])
    beyond = float(size[worst[found - 1]] * scale) if found else 0.0
    typical = max(SIGMA * float(np.median(np.abs(residual))), least)
    explained = 1 - (typical / spread) ** 2 if found <= (1 - LEAST_BULK) * len(values) else 0.0
    return Composition(explained, scale, worst[:found], beyond)


def _solve(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted least squares for columns of unit length; the tiny ridge keeps columns apart that are equal."""
    weighted = x * weight[:, None]
    ridge = 1e-10 * max(float(weight.max()), 1e-300)
    solution: np.ndarray = np.linalg.solve(weighted.T @ x + ridge * np.eye(x.shape[1]), weighted.T @ y)
    return solution


def bulk_scale(residual: np.ndarray) -> float:
    """SIGMA times the median absolute residual of the rows within BULK scales: a fixed point.

    A share of wrong labels widens the plain median (15 % of them by a fifth); here they do not count.
    """
    size = np.abs(residual)
    scale = SIGMA * float(np.median(size))
    for _ in range(100):
        before, scale = scale, SIGMA * float(np.median(size[size <= BULK * scale]))
        if abs(scale - before) <= 1e-12 * before:
            break
    return scale


def _beyond_chance(size: np.ndarray) -> int:
    """How many of the sizes (n,), in scales and descending, are too large for n normal residuals."""
    root = sqrt(2)
    chance = np.array([erfc(z / root) for z in size[: np.searchsorted(-size, -1.0)]])
    kept = np.flatnonzero(chance * len(size) <= FALSE * np.arange(1, len(chance) + 1))
    return int(kept[-1]) + 1 if len(kept) else 0


def extremes(values: np.ndarray) -> np.ndarray:
    """Places of the few labels (n,) that lie FAR from the median and GAP times as far as all others, in order.

    Labels that stretch over many orders of magnitude, as concentrations do, leave no such gap. Where most labels are
    equal, the scale is that of the others. None with fewer than ENOUGH labels.
    """
    if len(values) < ENOUGH:
        return np.zeros(0, np.int64)
    size = np.abs(values - np.median(values))
    if not size.any():
        return np.zeros(0, np.int64)
    scale = SIGMA * float(np.median(size) or np.median(size[size > 0]))
    order = np.argsort(size, kind="stable")
    ranked = size[order]
    jumps = np.flatnonzero((ranked[1:] > FAR * scale) & (ranked[1:] > GAP * ranked[:-1])) + 1
    first = next((jump for jump in jumps.tolist() if len(values) - jump <= max(1, ALONE * len(values))), len(values))
    alone: np.ndarray = np.sort(order[first:])
    return alone


def stand_ins(values: np.ndarray, classes: bool = False) -> list[float]:
    """Values among the labels (n,) that may stand for "not measured": beyond all others, and far from them.

    One of STAND_INS counts where it recurs RECURS times beyond all others, or lies far from the nearest of them: APART
    scales, and more than all others span. Any other value but 0, which many a
    count and sum has by nature, has to do both. classes: whether the numbers are classes, of
    which none is far from another. None with fewer than ENOUGH labels besides.
    """
    usual = values[~np.isin(values, STAND_INS)]
    if len(usual) < ENOUGH:
        return []
    found = []
    for value in {float(usual.min()), float(usual.max()), *STAND_INS}:
        count, rest = int((values == value).sum()), usual[usual != value]
        if not count or not len(rest) or rest.min() <= value <= rest.max():
            continue
        size = np.abs(rest - np.median(rest))
        scale = SIGMA * float(np.median(size) or (np.median(size[size > 0]) if size.any() else 0.0))
        gap = float(np.abs(rest - value).min())
        named, recurs = value in STAND_INS, count >= RECURS
        far = not classes and scale > 0 and gap > max(APART * scale, float(np.ptp(rest)))
        if (named and (recurs or far)) or (value and recurs and far):
            found.append(value)
    return sorted(found)


@dataclass(frozen=True)
class Style:
    """What a bag of characters knows of a target: ROC-AUC of a class, R² of a number, as given and canonical.

    `noise`: standard deviation of the gap between the two over the draws.
    """

    given: float
    canonical: float
    noise: float

    @property
    def tells(self) -> bool:
        """Whether the way of writing tells the label: by more than STYLE_GAP, and clearly more than the noise."""
        gap = self.given - self.canonical
        return gap > STYLE_GAP and gap > STYLE_NOISE * self.noise


def style(given: Sequence[str], canonical: Sequence[str], values: np.ndarray, classes: bool) -> Style | None:
    """The same learner on the characters of the SMILES as given and of the canonical SMILES.

    given, canonical, values: (n,); values are 0 and 1 where `classes`, else numbers.

    Logistic (ridge) regression on standardised counts of characters, fitted on 1.25 % to 80 % of the rows and asked
    on all others, the mean over the shares and DRAWS draws: the data-efficiency protocol of Honda et al.
    (arXiv:1911.04738), with the classes in proportion. Numbers need more rows: 20 to 80 %. None with fewer than FEWEST
    rows or FEWEST_OF_CLASS of a class, and where every SMILES is canonical as given, so that there is no style.
    """
    sizes = np.bincount(values.astype(np.int64), minlength=2) if classes else np.array([len(values)])
    if len(values) < FEWEST or (classes and sizes.min() < FEWEST_OF_CLASS) or list(given) == list(canonical):
        return None
    scores = np.array([_draw(given, canonical, values, classes, draw) for draw in range(DRAWS)])  # (DRAWS, 2)
    mean = scores.mean(0)
    return Style(float(mean[0]), float(mean[1]), float((scores[:, 0] - scores[:, 1]).std(ddof=1)))


def _draw(
    given: Sequence[str], canonical: Sequence[str], values: np.ndarray, classes: bool, draw: int
) -> tuple[float, float]:
    """Both scores, each the mean over the shares, for one random order of the rows."""
    order = np.random.Generator(np.random.Philox(draw)).permutation(len(values))
    kinds = [order[values[order] == kind][:MOST] for kind in (0, 1)] if classes else [order[: 2 * MOST]]
    rows = np.concatenate(kinds)
    y = values[rows]
    # a row's place within its kind, from 0 to 1: the share below which it is learned from
    place = np.concatenate([np.arange(len(kind)) / len(kind) for kind in kinds])
    bags = [bag_of_characters([texts[row] for row in rows.tolist()]) for texts in (given, canonical)]
    shares = CLASS_SHARES if classes else NUMBER_SHARES
    scores = [[_score(bag, y, place < share, classes) for share in shares] for bag in bags]
    return float(np.mean(scores[0])), float(np.mean(scores[1]))


def bag_of_characters(texts: Sequence[str]) -> np.ndarray:
    """(n, C) float64 counts of each character that occurs, in the order of their codes. Texts are ASCII."""
    codes = np.frombuffer("".join(texts).encode("ascii"), np.uint8)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    counts = np.bincount(owner * 128 + codes, minlength=128 * len(texts)).reshape(len(texts), 128)
    return counts[:, counts.any(0)].astype(np.float64)


def _score(x: np.ndarray, y: np.ndarray, learn: np.ndarray, classes: bool) -> float:
    """Fit on the rows `learn` (n,) bool, score on the others. Standardised by the rows that are learned from."""
    deviation = x[learn].std(0)
    x = (x - x[learn].mean(0)) / np.where(deviation > 0, deviation, 1)
    x = np.column_stack([x, np.ones(len(x))])
    if classes:
        return ordered(y[~learn] == 1, x[~learn] @ logistic(x[learn], y[learn]))
    mean = y[learn].mean()
    penalty = PENALTY["number"] * np.eye(x.shape[1])
    answer = mean + x @ np.linalg.solve(x[learn].T @ x[learn] + penalty, x[learn].T @ (y[learn] - mean))
    rest = y[~learn]
    variance = float(((rest - rest.mean()) ** 2).sum())
    return 1 - float(((rest - answer[~learn]) ** 2).sum()) / variance if variance > 0 else 0.0


def logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(C,) coefficients of logistic regression with a quadratic penalty on all but the last column, the constant.

    x: (n, C)   y: (n,) 0 or 1. Newton's method; a step that does not lower the loss is halved.
    """
    penalty = np.full(x.shape[1], PENALTY["class"])
    penalty[-1] = 1e-6
    weights = np.zeros(x.shape[1])

    def loss(at: np.ndarray) -> float:
        z = x @ at
        return float((np.logaddexp(0, z) - y * z).sum() + 0.5 * (penalty * at**2).sum())

    value = loss(weights)
    for _ in range(50):
        chance = 0.5 * (1 + np.tanh(0.5 * (x @ weights)))
        slope = x.T @ (chance - y) + penalty * weights
        curve = (x * (chance * (1 - chance))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        while (new := loss(weights - step)) > value + 1e-9 * abs(value) and np.abs(step).max() > 1e-12:
            step = step / 2
        weights = weights - step
        if value - new <= 1e-8 * (1 + abs(value)):
            break
        value = new
    return weights


def ordered(positive: np.ndarray, answer: np.ndarray) -> float:
    """ROC-AUC of `answer` (n,) for the rows `positive` (n,) bool; 0.5 where there is one class only."""
    return roc_auc(positive.astype(np.float64), answer) if positive.any() and not positive.all() else 0.5
