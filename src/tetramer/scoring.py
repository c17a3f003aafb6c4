"""How good the members of a plan and their blend are on given rows, beside the plainest answer of all."""

import numpy as np

from tetramer.inference import Model
from tetramer.members.blend import combine
from tetramer.members.work import Plan
from tetramer.metrics import METRICS, Score, evaluate_all

CLASSICAL = ("trees", "kernels")


def score(plan: Plan, model: Model, told: np.ndarray, rows: np.ndarray) -> dict[str, dict[str, Score]]:
    """Group → metric → score; "blend" is the whole, "baseline" the classical groups blended.

    told: (G, n, T, K) what the groups say of `rows` (n,). "mean" answers the training rows' mean or class shares
    whatever the molecule. Of rows that calibrated or weighed the blend, its scores are a little too good. A score is a
    mean over targets and has them in `each`.
    """
    data, problem = plan.data, plan.problem
    assert data.values is not None and data.censor is not None  # noqa: PT018
    groups = list(dict.fromkeys(piece.group for piece in plan.pieces))
    answers = {"blend": combine(model.weights, told)} if len(groups) > 1 else {}
    classical = [g for g, name in enumerate(groups) if kind_of(plan, name) in CLASSICAL]
    if 1 < len(classical) < len(groups):
        share = model.weights[:, classical] + 1e-12
        answers["baseline"] = combine(share / share.sum(axis=1, keepdims=True), told[classical])
    answers |= dict(zip(groups, told, strict=True))
    answers["mean"] = np.broadcast_to(mean_answer(plan), told.shape[1:])
    truth, censor = data.values[rows], data.censor[rows]
    metrics = [name for name, metric in METRICS.items() if problem.task in metric.tasks]
    out: dict[str, dict[str, Score]] = {}
    for name, answer in answers.items():
        flat = answer if problem.outputs > 1 else answer[:, :, 0]
        out[name] = {m: evaluate_all(m, truth, flat, problem.targets, censor)[0] for m in metrics}
    return out


def kind_of(plan: Plan, group: str) -> str:
    """The kind of a group's pieces."""
    return next(piece.kind for piece in plan.pieces if piece.group == group)


def mean_answer(plan: Plan) -> np.ndarray:
    """(T, K): the training rows' mean, or the share of each class."""
    values = plan.data.values
    assert values is not None
    rows = values[plan.fold >= 0]
    if plan.problem.outputs == 1:
        return np.asarray(np.nanmean(rows, axis=0)[:, None])
    known = np.isfinite(rows).sum(axis=0)
    return np.stack([(rows == k).sum(axis=0) / known for k in range(plan.problem.outputs)], axis=1)
