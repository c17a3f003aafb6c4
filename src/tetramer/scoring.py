"""How good the members of a plan and their blend are on given rows, beside the plainest answer of all.

And what a reader must know to judge such numbers: what the test part shares, how many molecules calibrate.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tetramer.inference import Model
from tetramer.members import REGRESSION
from tetramer.members.blend import combine
from tetramer.members.intervals import FEWEST
from tetramer.members.plan import Plan
from tetramer.metrics import METRICS, Score, evaluate_all
from tetramer.overrides import CLASSICAL
from tetramer.recipes import Recipe

Scores = dict[str, dict[str, Score]]  # group → metric → score


def by_group(plan: Plan, model: Model, told: np.ndarray) -> dict[str, np.ndarray]:
    """Group → its answers (n, T, K); "blend" is the whole, "baseline" the classical groups blended.

    told: (G, n, T, K) what the groups say. "mean" answers the training rows' mean or class shares for every molecule.
    """
    groups = list(dict.fromkeys(piece.group for piece in plan.pieces))
    answers = {"blend": combine(model.weights, told)} if len(groups) > 1 else {}
    classical = [g for g, name in enumerate(groups) if kind_of(plan, name) in CLASSICAL]
    if 1 < len(classical) < len(groups):
        share = model.weights[:, classical] + 1e-12
        answers["baseline"] = combine(share / share.sum(axis=1, keepdims=True), told[classical])
    answers |= dict(zip(groups, told, strict=True))
    return answers | {"mean": np.broadcast_to(mean_answer(plan), told.shape[1:])}


def score(plan: Plan, answers: Mapping[str, np.ndarray], rows: np.ndarray) -> Scores:
    """Group → metric → score of what the groups of `by_group` answer for `rows` (n,).

    Of rows that calibrated or weighed the blend, its scores are a little too good. A score is a mean over targets and
    has them in `each`.
    """
    data, problem = plan.data, plan.problem
    assert data.values is not None and data.censor is not None  # noqa: PT018
    truth, censor = data.values[rows], data.censor[rows]
    metrics = [name for name, metric in METRICS.items() if problem.task in metric.tasks]
    out: Scores = {}
    for name, answer in answers.items():
        flat = answer if problem.outputs > 1 else answer[:, :, 0]
        out[name] = {m: evaluate_all(m, truth, flat, problem.targets, censor)[0] for m in metrics}
    return out


def kind_of(plan: Plan, group: str) -> str:
    """The kind of a group's pieces."""
    return next(piece.kind for piece in plan.pieces if piece.group == group)


def mean_answer(plan: Plan) -> np.ndarray:
    """(T, K): the training rows' mean, or the share of each class. Bounds count where a target has nothing else."""
    values, censor = plan.data.values, plan.data.censor
    assert values is not None and censor is not None  # noqa: PT018
    rows = values[plan.fold >= 0]
    if plan.problem.outputs == 1:
        exact = np.where(censor[plan.fold >= 0] == 0, rows, np.nan)
        return np.asarray(np.nanmean(np.where(np.isfinite(exact).any(axis=0), exact, rows), axis=0)[:, None])
    known = np.isfinite(rows).sum(axis=0)
    return np.stack([(rows == k).sum(axis=0) / known for k in range(plan.problem.outputs)], axis=1)


def as_card(scores: Scores, targets: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Scores as a card holds them; of several targets the mean, and under `targets` value and rows of each."""
    out: dict[str, dict[str, Any]] = {}
    for group, by in scores.items():
        out[group] = {name: {"value": s.value, "reason": s.reason, "rows": s.rows} for name, s in by.items()}
        for name, whole in by.items() if len(targets) > 1 else ():
            out[group][name]["targets"] = {
                target: {"value": None if one.value is None else float(f"{one.value:.6g}"), "rows": one.rows}
                for target, one in zip(targets, whole.each, strict=True)
            }
    return out


def leak_notes(found: dict[str, int], what: str = "molecule") -> list[str]:
    """The sentence for what `splits.leak` found, if a `what` is shared; shared scaffolds alone are no fault.

    A molecule whose InChIKey begins as one in the other parts is an isomer or a tautomer of it, or the same.
    """
    tests, shared, frames = found["test"], found["molecules"], found["scaffolds"]
    alike = found.get("keys", 0)
    if not shared and not alike:
        return []
    if shared == tests:
        return [
            f"All {tests:,} test {what}s also stand in the training or validation part: the test numbers say nothing "
            f"about new {what}s. Is it the right test file, or the right column?"
        ]
    text = (
        f"{shared:,} of {tests:,} test {what}s also stand{'s' * (shared == 1)} in the training or validation part "
        f"({alike:,} by the first block of the InChIKey, {frames:,} share{'s' * (frames == 1)} a scaffold)."
    )
    return [text + f" The test numbers say little about new {what}s." * (2 * shared >= tests)]


def origin_notes(name: str, recipe: Recipe, plan: Plan) -> list[str]:
    """Sentences on the weights that networks begin with; also where a recipe is meant to have some and none are given.

    name: of the recipe. UserError if the weights fit none of its networks.
    """
    if plan.origin is None:
        meant = [member for member, config in recipe.networks.items() if "pretrained" in config["training"]]
        return [
            f"{member} is meant to begin with pretrained weights and does not, since --from gives none."
            for member in meant
        ]
    told = plan.origin.matched(name, {piece.group: piece.config for piece in plan.pieces if piece.origin})
    if plan.origin.kind != "encoder":
        some = "has" if not any(one.folder for one in plan.origin.sources) else "(at least one of these) has"
        told.append(f"{plan.origin.name} {some} learned labels: numbers on what it knew flatter this model.")
    return told


def interval_notes(plan: Plan, level: float) -> list[str]:
    """Sentences on intervals that cannot be given, or are endless, because too few molecules calibrate them."""
    data, problem = plan.data, plan.problem
    if problem.task != REGRESSION:
        return []
    assert data.values is not None and data.censor is not None  # noqa: PT018
    folds = any(piece.fold is not None for piece in plan.pieces)
    held = plan.fold >= 0 if folds else plan.valid
    counts = (np.isfinite(data.values[held]) & (data.censor[held] == 0)).sum(axis=0)
    needed = math.ceil(1 / (1 - level + 1e-12)) - 1  # as `Intervals` has it: below, the quantile lies beyond the rows
    advice = "" if folds else " The recipes auto and baseline calibrate on all training rows."
    at = f"at the level {level:g} at least"
    none = _too_few(problem.targets, counts, (0, FEWEST), "at least", "there are none")
    endless = _too_few(problem.targets, counts, (FEWEST, needed), at, "they are infinite")
    return [text + advice for text in (*none, *endless)]


def _too_few(targets: Sequence[str], counts: np.ndarray, ends: tuple[int, int], at: str, outcome: str) -> list[str]:
    """One sentence on the targets of which so many molecules calibrate that it is in range(*ends)."""
    few = [(count, name) for name, count in zip(targets, counts.tolist(), strict=True) if count in range(*ends)]
    if not few:
        return []
    which = f" of {listed([name for _, name in few])}" if len(targets) > 1 else ""
    fewest, most = min(few)[0], max(few)[0]
    number = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    verb = "row calibrates" if most == 1 else "rows calibrate"
    return [f"{number} {verb} the intervals{which}; {at} {ends[1]} are needed, so {outcome}."]


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names for a sentence; of very many the first ones and how many more."""
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return ", ".join([*names[:-2], " and ".join(names[-2:])])
