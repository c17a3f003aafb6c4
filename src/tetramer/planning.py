"""What is learned, and by which fits: the problem that labels pose, a recipe's members for it, and words for both."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import fields
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np

from tetramer.assays import Assay
from tetramer.datasets.placed import form_of
from tetramer.encoders import ENCODERS
from tetramer.members import REGRESSION, Problem
from tetramer.members.plan import Piece
from tetramer.members.references import extensive
from tetramer.overrides import CLASSICAL, groups
from tetramer.recipes import BY_TARGET, Recipe
from tetramer.scoring import listed
from tetramer.settings import configured
from tetramer.training import Data
from tetramer.views import Reading

READOUTS = {"norm": "sum / 100", "attention": "sum weighted by attention"}  # others are words already
MANY_LABELS = 500_000  # above, boosted trees of one target after the other would take an hour and more


def problem_of(assay: Assay, reading: Reading, rows: np.ndarray) -> Problem:
    """The task, its classes, and which targets grow with the molecule, by the training rows (n,) alone."""
    names, classes = assay.labels.names, tuple(tuple(texts or ()) for texts in assay.labels.classes)
    if assay.task != REGRESSION:
        return Problem(assay.task, names, classes)
    if form_of(assay.texts) == "reaction":
        return Problem(assay.task, names)
    return Problem(assay.task, names, (), extensive(Data(reading.features, assay.labels.values), rows))


def extensive_note(members: dict[str, dict[str, Any]], problem: Problem) -> str:
    """What is done about targets that grow with the molecule, which the settings of a network may forbid."""
    left = [name for name, spec in members.items() if spec["config"].get("reference", "auto") == "none"]
    but = f", but not for {', '.join(left)}" if left else ""
    fit = f"a fit on what it is made of is taken off first{but}"
    if all(problem.extensive):
        return f"The target grows with the molecule: {fit}."
    pairs = list(zip(problem.targets, problem.extensive, strict=True))
    grow, stay = (listed([name for name, one in pairs if one is wanted]) for wanted in (True, False))
    one, other = problem.extensive.count(True) == 1, problem.extensive.count(False) == 1
    return (
        f"{grow} grow{'s' * one} with the molecule, {stay} do{'es' * other} not: of the former {fit}. A network reads "
        "its atoms out in one way for all targets, so a model of each kind by itself suits better."
    )


def readout_notes(pieces: Sequence[Piece], problem: Problem) -> list[str]:
    """A sentence on how networks, and branches of one, make a molecule of its atoms, and for which kind of target.

    Nothing is said of branches that are brought to one length: their sum of atoms is their mean.
    """
    told: dict[str, list[str]] = {}
    for group, piece in {piece.group: piece for piece in pieces if piece.kind not in CLASSICAL}.items():
        whole = configured(ENCODERS[piece.config["encoder"]].Config, piece.config["encoder_config"])
        plain = getattr(whole, "plain", ())
        for (*_, name), place, kind in groups({"kind": piece.kind, "config": piece.config}):
            if len(place) > 1 and name not in plain:
                continue
            settings = {k: v for k, v in reduce(getitem, place, piece.config).items() if k != "encoder"}
            if any(one.name == "readout" for one in fields(kind)):
                how: str = configured(kind, settings).readout
                told.setdefault(READOUTS.get(how, how), []).append(name if len(place) > 1 else group)
    if not told:
        return []
    stays = problem.task == REGRESSION and not any(problem.extensive)
    first = "The target does not grow with the molecule. " if stays and len(problem.targets) == 1 else ""
    first = "No target grows with the molecule. " if stays and not first else first
    ways = [f"by their {how} in {listed(names)}" for how, names in told.items()]
    return [f"{first}Atoms are read out {', '.join(ways)}."]


def chosen_members(recipe: Recipe, problem: Problem, labels: int) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The recipe's members, of a panel with very many labels without boosted trees, and what to say of them."""
    members, targets = recipe.members, len(problem.targets)
    if not any(spec["kind"] == "forest" for spec in members.values()):
        return members, []
    left = {name for name, spec in members.items() if spec["kind"] == "trees" and labels > MANY_LABELS}
    without = ", ".join([*sorted(left), *BY_TARGET])
    note = f"{targets} targets, {labels:,} labels: left out are {without}, which learn every target by itself; "
    note += "shared-forest learns all of them at once."
    return {name: spec for name, spec in members.items() if name not in left}, [note]


def pieces_of(group: str, spec: dict[str, Any], folds: int, seeds: range, summing: bool) -> list[Piece]:
    """One piece a fold and seed; a classical member, of one seed, is fitted once more on all rows and answers by that.

    summing: whether all targets grow with the molecule, so that networks add up their atoms
    """
    config, kind = deepcopy(spec["config"]), spec["kind"]
    if summing and kind not in CLASSICAL:
        summed(spec | {"config": config})
    places: list[int | None] = [*range(folds), *([None] if kind in CLASSICAL or not folds else [])]
    return [
        Piece(
            f"{group}.{'all' if fold is None else fold}-{number}", group, kind, config, fold, 100 * number + (fold or 0)
        )
        for fold in places
        for number in (seeds[:1] if kind in CLASSICAL else seeds)
    ]


def summed(spec: dict[str, Any]) -> None:
    """Let a network of an extensive target add up its atoms, in every branch, unless its settings say otherwise."""
    for _, place, kind in groups(spec):
        if place[0] == "encoder_config" and any(one.name == "readout" for one in fields(kind)):
            reduce(getitem, place, spec["config"]).setdefault("readout", "sum")
