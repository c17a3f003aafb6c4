"""Two further claims: that a space has clusters, and that better models have more meaningful neighbours."""

import numpy as np
from numpy.typing import NDArray

from tetramer.errors import UserError
from tetramer.metrics import Undefined, spearman
from tetramer.space.claims import Claim
from tetramer.space.resampling import LEVEL, interval

Floats = NDArray[np.float64]

ROWS = 10_000  # vectors looked at, drawn at random where there are more
PROBES = 500  # places, and molecules, whose nearest vector is sought
CELLS = 4_000_000  # distances held at a time


def cluster_tendency(vectors: np.ndarray, seed: int = 0) -> Claim:
    """Hopkins's statistic H = Σu / (Σu + Σw): ½ for vectors strewn evenly over a box, towards 1 for clusters.

    u are distances from random places in the box around the vectors to the nearest vector, w those from random vectors
    to the nearest other. vectors: (n, D), by Euclidean distance. A box of many dimensions is empty nearly everywhere,
    so H is above ½ for any cloud; the reference is therefore H of one Gaussian cloud with the same mean, covariance and
    number of vectors, which has no clusters. Columns of different units: divide each by its standard deviation before.
    Hopkins and Skellam 1954 (Ann. Bot. 18:213) have squares, for the plane; in many dimensions powers leave only the
    largest distance, so there are none here.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    rows = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    if len(rows) < 3:
        raise UserError(f"{len(rows)} rows have a vector without NaN; the tendency to cluster needs 3 or more.")
    cloud = vectors[np.sort(rng.permutation(rows)[:ROWS])].astype(np.float64)
    cloud -= cloud.mean(axis=0)
    if not cloud.any():
        raise UserError("All vectors are equal, so they have no tendency to cluster.")
    columns = _lengths(cloud, rng)
    value, low, high = interval(columns, _hopkins, seed)
    plain = _hopkins(_lengths(_gaussian(cloud, rng), rng).mean(axis=0)[None])
    return Claim("the space has clusters", "Hopkins", value, low, high, float(plain[0]), len(cloud))


def model_order(errors: Floats, statistic: Floats, name: str) -> Claim:
    """Spearman's correlation, over models, of their error with a statistic of their neighbours. Both (M,), 4 or more.

    One value a model, so average seeds before. The interval is that of Bonett and Wright 2000 (doi:10.1007/BF02294183)
    about the arctanh of the correlation, whose size is taken half a step of its scale nearer to 0: without that, a
    perfect order of however few models would be certain. Too few models are drawn to resample them.
    """
    known = np.isfinite(errors) & np.isfinite(statistic)
    n = int(known.sum())
    if n < 4:
        raise UserError(f"{n} models have an error and a value of {name!r}; an order of models needs 4 or more.")
    try:
        value = spearman(errors[known], statistic[known])
    except Undefined as error:
        raise UserError(f"The models cannot be put in order by their error and {name!r}: all have the same.") from error
    size = np.arctanh(np.copysign(max(abs(value) - 6 / (n * (n * n - 1)), 0.0), value))
    wide = _normal_quantile() * np.sqrt((1 + value * value / 2) / (n - 3))
    low, high = np.tanh([size - wide, size + wide])
    low, high = min(float(low), value), max(float(high), value)
    return Claim("better models have more meaningful neighbours", f"error and {name}", value, low, high, 0.0, n)


def _normal_quantile() -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + LEVEL) / 2))


def _lengths(cloud: Floats, rng: np.random.Generator) -> Floats:
    """(P, 2): u and w, from as many random places as random vectors."""
    count = min(PROBES, len(cloud))
    places = rng.uniform(cloud.min(axis=0), cloud.max(axis=0), (count, cloud.shape[1]))
    chosen = rng.permutation(len(cloud))[:count]
    return np.stack([_nearest(places, cloud, None), _nearest(cloud[chosen], cloud, chosen)], axis=1)


def _nearest(places: Floats, cloud: Floats, own: NDArray[np.int64] | None) -> Floats:
    """(P,) distance of each place to the nearest vector of the cloud that is not its `own` row."""
    squares, out = np.einsum("nd,nd->n", cloud, cloud), np.empty(len(places))
    step = max(1, CELLS // len(cloud))
    for start in range(0, len(places), step):
        part = slice(start, min(start + step, len(places)))
        apart = squares - 2 * (places[part] @ cloud.T)
        if own is not None:
            apart[np.arange(len(apart)), own[part]] = np.inf
        gap = places[part] - cloud[apart.argmin(axis=1)]  # anew, as squares of long vectors lose their digits
        out[part] = np.sqrt(np.einsum("pd,pd->p", gap, gap))
    return np.asarray(out)


def _gaussian(cloud: Floats, rng: np.random.Generator) -> Floats:
    """As many vectors from one Gaussian with the covariance of the cloud, which is centred."""
    variances, axes = np.linalg.eigh(cloud.T @ cloud / len(cloud))
    spread = axes * np.sqrt(np.maximum(variances, 0))  # (D, D)
    return np.asarray(rng.standard_normal(cloud.shape) @ spread.T)


def _hopkins(means: Floats) -> Floats:
    """(B, 2) means of u and w → (B,)"""
    total = means.sum(axis=1)
    out: Floats = np.divide(means[:, 0], total, out=np.full(len(means), np.nan), where=total > 0)
    return out
