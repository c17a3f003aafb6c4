"""How often the paired tests find a difference that is none, and one that is there: 1,000 or more drawn data sets each.

    python benchmarks/null_simulation.py [--repeats 2000] [--only NAME …]

A data set of n molecules is drawn, then ten overlapping splits of it; two ridge regressions are fitted on every train
part, their RMSEs on the test parts compared, and the data set is thrown away. The methods see different halves of the
features, which are exchangeable, so over data sets neither is better. Scaffold designs have the real scaffold sizes of
a public set and the real rule (`datasets.splits`); a share of the variance of every feature belongs to the scaffold.

Rates at 5 % nominal: `plain` is the paired t-test, `nadeau_bengio` the correction by n_test / n_train, `by_overlap`
that by the overlap of the test parts, `corrected` what `benchmark.significance.compare` does with
`benchmark.correlation.correlation`. `correlation` is the correlation of two splits over data sets, which the last three
guess: by n_test / n, by `overlap`, or by `taken`.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from tetramer.benchmark.correlation import correlation, overlap
from tetramer.datasets.splits import balanced_order, fill

SIZES = (0.8, 0.1, 0.1)
# scaffold group size → how many groups (Bemis-Murcko, acyclic molecules one group), counted on the public files
SCAFFOLDS = {
    "bace": {
        55: 1,
        53: 1,
        41: 1,
        31: 1,
        26: 2,
        22: 1,
        19: 1,
        17: 1,
        16: 1,
        15: 1,
        14: 4,
        13: 2,
        12: 1,
        11: 2,
        10: 1,
        9: 4,
        8: 4,
        7: 15,
        6: 4,
        5: 8,
        4: 23,
        3: 29,
        2: 87,
        1: 476,
    },
    "esol": {
        317: 1,
        254: 1,
        39: 1,
        22: 1,
        21: 1,
        17: 1,
        16: 1,
        14: 1,
        12: 1,
        10: 1,
        9: 2,
        8: 1,
        7: 2,
        6: 4,
        5: 3,
        4: 5,
        3: 17,
        2: 31,
        1: 194,
    },
    "freesolv": {320: 1, 152: 1, 22: 1, 16: 1, 13: 1, 12: 1, 9: 1, 8: 1, 5: 2, 4: 1, 3: 8, 2: 8, 1: 36},
}


@dataclass(frozen=True)
class Design:
    """What is drawn.

    scaffolds: key of SCAFFOLDS, or "" for random splits; acyclic_apart: the largest group is taken as single molecules,
    as our split `grouped` does with acyclic ones. share: of the variance of features and noise that belongs to the
    scaffold. kind: "halves" (each method sees one half of what determines the label), "noise" (both see all of it, and
    each its own features without meaning: they learn one function), "seeds" (both draw their features anew for each
    split, as training seeds do). gain: planted advantage of the candidate's half. rule: "random" deals out rows
    though there are scaffolds.
    """

    n: int = 300
    splits: int = 10
    scaffolds: str = ""
    acyclic_apart: bool = False
    share: float = 0.0
    kind: str = "halves"
    gain: float = 0.0
    features: int = 10
    rule: str = "class B"


DESIGNS = {
    "random": Design(),
    "random-20-splits": Design(splits=20),
    "random-n-1000": Design(n=1000),
    "random-30-features": Design(features=30),
    "random-noise-features": Design(kind="noise"),
    "random-training-seeds": Design(kind="seeds"),
    "bace": Design(scaffolds="bace", share=0.25),
    "esol-no-share": Design(scaffolds="esol"),
    "esol": Design(scaffolds="esol", share=0.25),
    "esol-half": Design(scaffolds="esol", share=0.5),
    "esol-grouped": Design(scaffolds="esol", acyclic_apart=True, share=0.25),
    "freesolv-no-share": Design(scaffolds="freesolv"),
    "freesolv": Design(scaffolds="freesolv", share=0.25),
    "freesolv-half": Design(scaffolds="freesolv", share=0.5),
    "freesolv-grouped": Design(scaffolds="freesolv", acyclic_apart=True, share=0.25),
    "esol-random": Design(scaffolds="esol", share=0.25, rule="random"),
    "freesolv-random": Design(scaffolds="freesolv", share=0.25, rule="random"),
    "power-1-percent": Design(n=1000, gain=0.02),
    "power-3-percent": Design(n=1000, gain=0.06),
    "power-5-percent": Design(n=1000, gain=0.1),
    "power-10-percent": Design(n=1000, gain=0.2),
}


def groups_of(design: Design) -> np.ndarray:
    """(n,) scaffold number of each molecule; without scaffolds each its own."""
    if not design.scaffolds:
        return np.arange(design.n)
    sizes = [size for size, count in SCAFFOLDS[design.scaffolds].items() for _ in range(count)]
    if design.acyclic_apart:
        sizes = [*sizes[1:], *[1] * sizes[0]]
    return np.repeat(np.arange(len(sizes)), sizes)


def test_parts(rng: np.random.Generator, group: np.ndarray, design: Design) -> list[np.ndarray]:
    """Row numbers of the test part of each split: a tenth at random, or by class B; the rest is fitted on."""
    n = len(group)
    if not design.scaffolds or design.rule == "random":
        return [rng.permutation(n)[: n // 10] for _ in range(design.splits)]
    groups = [rows.tolist() for rows in np.split(np.arange(n), np.flatnonzero(np.diff(group)) + 1)]
    seeds = rng.integers(2**31, size=design.splits).tolist()
    return [fill(balanced_order(groups, n, SIZES, seed), n, SIZES, "class B").test for seed in seeds]


def shared_normal(rng: np.random.Generator, group: np.ndarray, share: float, width: int) -> np.ndarray:
    """(n, width) standard normal; rows of a group correlate by `share`."""
    of_group = rng.normal(size=(group[-1] + 1, width))[group]
    return np.sqrt(share) * of_group + np.sqrt(1 - share) * rng.normal(size=(len(group), width))


def ridge_errors(features: np.ndarray, label: np.ndarray, tested: np.ndarray, penalty: float = 1.0) -> np.ndarray:
    """(J,) test RMSE of a ridge regression for each split. features (n, p) or (J, n, p), tested (J, n) bool."""
    table = np.broadcast_to(features, (len(tested), *features.shape[-2:]))
    table = np.concatenate([table, np.ones((*table.shape[:2], 1))], axis=2)
    fitted = np.where(tested[:, :, None], 0, table)
    gram = fitted.transpose(0, 2, 1) @ table + penalty * np.eye(table.shape[2])
    weights = np.linalg.solve(gram, fitted.transpose(0, 2, 1) @ label[:, None])
    squares = (label - (table @ weights)[:, :, 0]) ** 2
    return np.sqrt((squares * tested).sum(axis=1) / tested.sum(axis=1))


def one(
    rng: np.random.Generator, group: np.ndarray, design: Design
) -> tuple[np.ndarray, np.ndarray, float, float, float]:
    """One data set: (J,) errors of candidate and baseline, correlation taken, overlap, mean n_test / n."""
    p, n = design.features, len(group)
    left, right = (shared_normal(rng, group, design.share, p) for _ in range(2))
    slope = np.full(p, 1 / np.sqrt(p))
    label = np.sqrt(1 + design.gain) * left @ slope + np.sqrt(1 - design.gain) * right @ slope
    label += shared_normal(rng, group, design.share, 1)[:, 0]
    tests = test_parts(rng, group, design)
    tested = np.zeros((design.splits, n), dtype=bool)
    for mask, rows in zip(tested, tests, strict=True):
        mask[rows] = True
    both = np.concatenate([left, right], axis=1)
    if design.kind == "noise":
        left, right = (np.concatenate([both, shared_normal(rng, group, design.share, p)], axis=1) for _ in range(2))
    if design.kind == "seeds":
        left, right = (np.stack([both[:, rng.permutation(2 * p)[:p]] for _ in range(design.splits)]) for _ in range(2))
    errors = [ridge_errors(side, label, tested) for side in (left, right)]
    together = np.arange(n) if design.rule == "random" else group
    return errors[0], errors[1], correlation(tests, together), overlap(tests), float(tested.mean())


def p_values(gaps: np.ndarray, rho: np.ndarray | float) -> np.ndarray:
    """(R,) p of the corrected t-test; gaps (R, J), rho (R,) or one number: 0 is the plain t-test."""
    splits = gaps.shape[1]
    error = gaps.std(axis=1, ddof=1) * np.sqrt(1 / splits + rho / (1 - rho))
    return 2 * stats.t.sf(np.abs(gaps.mean(axis=1)) / error, splits - 1)


def simulate(design: Design, repeats: int, seed: int = 0) -> dict[str, float]:
    """Rates of p ≤ 0.05 over `repeats` data sets; `se` is the Monte Carlo standard error of `corrected`."""
    rng, group = np.random.Generator(np.random.Philox(seed)), groups_of(design)
    drawn = [one(rng, group, design) for _ in range(repeats)]
    ours, theirs = (np.stack([row[side] for row in drawn]) for side in range(2))
    taken, shared, part = (np.array([row[column] for row in drawn]) for column in (2, 3, 4))
    gaps = ours - theirs
    found = p_values(gaps, taken) <= 0.05
    table = np.cov(gaps.T)
    between = (table.sum() - np.trace(table)) / (design.splits - 1) / np.trace(table)
    return {
        "plain": float(np.mean(p_values(gaps, 0.0) <= 0.05)),
        "nadeau_bengio": float(np.mean(p_values(gaps, part) <= 0.05)),
        "by_overlap": float(np.mean(p_values(gaps, np.maximum(shared, part)) <= 0.05)),
        "corrected": float(found.mean()),
        "se": float(np.sqrt(found.mean() * (1 - found.mean()) / repeats)),
        "found_better": float(np.mean(found & (gaps.mean(axis=1) < 0))),
        "difference_percent": float(100 * gaps.mean() / theirs.mean()),
        "overlap": float(shared.mean()),
        "taken": float(taken.mean()),
        "correlation": float(between),
    }


def on_one_data_set(sets: int, repeats: int, seed: int = 0) -> dict[str, float]:
    """The other null: one given data set, further splits of it, and no difference in the mean over all its splits.

    For each data set 200 splits give its own mean, which is taken off; then its splits are independent draws, the plain
    t-test is right and the corrected one says "different" almost never. It answers for these molecules only.
    """
    rng, design = np.random.Generator(np.random.Philox(seed)), Design(splits=200)
    gaps = []
    for _ in range(sets):
        ours, theirs, *_ = one(rng, groups_of(design), design)
        gap = ours - theirs - (ours - theirs).mean()
        gaps.append(np.stack([rng.permutation(gap)[:10] for _ in range(repeats // sets)]))
    table = np.concatenate(gaps)
    return {
        "plain": float(np.mean(p_values(table, 0.0) <= 0.05)),
        "corrected": float(np.mean(p_values(table, 0.1) <= 0.05)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=list(DESIGNS), default=list(DESIGNS))
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/null-simulation.json"))
    asked = parser.parse_args()
    began = time.monotonic()
    rows = {}
    for name in asked.only:
        rows[name] = asdict(DESIGNS[name]) | simulate(DESIGNS[name], asked.repeats, asked.seed)
        print(name, {key: round(value, 3) for key, value in list(rows[name].items())[9:]}, file=sys.stderr, flush=True)
    fixed = on_one_data_set(100, 10_000, asked.seed)
    seconds = round(time.monotonic() - began, 1)
    out = {"nominal": 0.05, "repeats": asked.repeats, "seed": asked.seed, "seconds": seconds}
    text = json.dumps(out | {"designs": rows, "given_data_set": fixed}, indent=1)
    if set(asked.only) == set(DESIGNS):
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
