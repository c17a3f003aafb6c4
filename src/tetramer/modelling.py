"""From measurements to a model: read, split, plan, fit, blend, calibrate, score. The work behind `tetramer train`."""

import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np

from tetramer import __version__
from tetramer.assays import Assay
from tetramer.checkpoint import FORMAT, config_hash
from tetramer.datasets import splits
from tetramer.datasets.labels import LEAST
from tetramer.datasets.partitions import kept_aside, repeats
from tetramer.datasets.placed import form_of
from tetramer.datasets.splits import Split
from tetramer.errors import UserError, pick
from tetramer.inference import LEVEL, Answer, Model, meanings
from tetramer.members import REGRESSION, Problem
from tetramer.members.base import atom_counts, to_read
from tetramer.members.blend import combine, fit_weights, spread
from tetramer.members.intervals import Intervals
from tetramer.members.origin import Origin, read_origin, together
from tetramer.members.plan import Piece, Plan
from tetramer.members.work import Fitted, Progress, config_of, load_piece, run
from tetramer.molecules import Limits, Standard
from tetramer.objectives.statistics import is_extensive
from tetramer.reading import geometry_counts, geometry_notes, read_into
from tetramer.recipes import BY_TARGET, Recipe, groups, resolve
from tetramer.scoring import CLASSICAL, Scores, as_card, interval_notes, leak_notes, listed, origin_notes, score
from tetramer.settings import configured
from tetramer.training import Data, epoch_order
from tetramer.views import Reader, Reading

READOUTS = {"norm": "sum / 100", "attention": "sum weighted by attention"}  # others are words already
MANY_LABELS = 500_000  # above, boosted trees of one target after the other would take an hour and more
LARGEST_SEED = 10_000_000  # 100 times this fits the 31 bits of a seed of LightGBM


@dataclass(frozen=True)
class Options:
    """How to train. `fit_rows` is train or train+valid: whether the validation part is fitted on as well."""

    recipe: str = "auto"
    overrides: dict[str, str] = field(default_factory=dict)
    split: str = "none"
    seed: int = 0
    seeds: int = 1  # networks per fit
    fit_rows: str = "train"
    level: float = LEVEL
    standard: Standard = field(default_factory=Standard)
    limits: Limits = field(default_factory=Limits)
    start: tuple[Path, ...] = ()  # folders with weights that networks begin with

    def __post_init__(self) -> None:
        if self.fit_rows not in ("train", "train+valid"):
            raise UserError(f"fit_rows={self.fit_rows!r} is not known. Choose train or train+valid.")
        if not 0 < self.level < 1:
            raise UserError(f"--level {self.level} is not a probability. Choose a number between 0 and 1, such as 0.9.")
        if self.seeds < 1:
            raise UserError(f"--seeds {self.seeds}: at least one is needed.")
        if not 0 <= self.seed < LARGEST_SEED or self.seeds > 100:
            raise UserError(
                f"--seed {self.seed} --seeds {self.seeds} is out of range. Choose 0 to 9999999, and 1 to 100."
            )
        pick(splits.SPLITS, self.split, "split")


@dataclass(frozen=True)
class Result:
    """A model with what is known of it."""

    model: Model
    assay: Assay
    reading: Reading
    split: Split
    plan: Plan
    scores: dict[str, Scores]  # part ("test", "held-out") → group → metric
    held: np.ndarray  # (m,) rows answered by fits that had not seen them
    told: Answer  # those answers
    notes: list[str]


def train(
    assay: Assay,
    options: Options,
    parts: Path,
    given: Split | None = None,
    progress: Progress = lambda name, share: None,
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Fit the recipe on the assay. `parts` is a folder for unfinished work, from which a killed run goes on.

    given: parts named by the user, instead of a rule of SPLITS.
    """
    form = form_of(assay.texts)
    recipe = resolve(options.recipe, options.overrides, form, assay.labels.panel)
    options = replace(options, standard=replace(options.standard, reactions=form == "reaction"))
    for spec in recipe.members.values():
        config_of(spec["kind"], spec["config"])  # a wrong setting is told before the work
    origin = origin_for(options, recipe)
    keys = keys_of(assay, options)
    for note in (*assay.notes, assay.why, *(["The structures are reactions."] if form == "reaction" else [])):
        say(note)
    with Reader(options.standard, options.limits, recipe.settings()) as reader:
        reading = read_into(parts, reader, assay.texts, views_of(recipe), progress)
    known = np.isfinite(assay.labels.values).any(axis=1) & reading.ok
    refused = len(reading) - int(reading.ok.sum())
    if refused:
        say(f"{refused} of {len(reading)} structures cannot be read and are left out.")
    if known.sum() < LEAST:
        raise UserError(f"{int(known.sum())} rows have a label and a readable structure; at least {LEAST} are needed.")
    split = (
        given
        if given is not None
        else splits.make(options.split, reading.smiles, options.seed, valid_labels=known, keys=keys)
    )
    split = only(split, known)
    plan, notes = make_plan(assay, options, recipe, reading, split)
    plan = plan.beginning(origin)
    notes += [*meanings(plan.problem, assay.units), *origin_notes(options.recipe, recipe, plan)]
    places = geometry_counts(reading, np.flatnonzero(known))
    notes += geometry_notes(places, form == "placed")
    shared = splits.leak(split, reading.smiles, limits=options.limits) if len(split.test) else None
    notes += [
        *(leak_notes(shared, form if form == "reaction" else "molecule") if shared else []),
        *interval_notes(plan, options.level),
    ]
    for note in notes:
        say(note)
    plan.place(parts, rows_key(plan, assay.texts, [reading.smiles, recipe.views]), say)
    run(parts, plan, workers_for(plan, options), progress)
    model, told, held = blend(plan, parts, options, recipe)
    scores = {"held-out": score(plan, model, told, held)}
    if len(split.test):
        scores["test"] = score(plan, model, model.told(reading.features, split.test), split.test)
    card = make_card(assay, options, recipe, reading, split, plan, scores, notes)
    card["split"] |= {"leak": shared} if shared else {}
    card |= {"geometries": places} if places else {}
    if origin is not None:
        card["from"] = {"name": origin.name, "kind": origin.kind, "sha256": origin.sha256}
    model = replace(model, card=card)
    return Result(model, assay, reading, split, plan, scores, held, model.blended(told, options.level), notes)


def origin_for(options: Options, recipe: Recipe) -> Origin | None:
    """The weights to begin with. UserError, before any work, if those of a folder fit no network."""
    origins = [read_origin(path) for path in options.start]
    for one in origins:
        one.matched(options.recipe, recipe.networks)
    if not origins:
        return None
    whole = together(origins)
    whole.matched(options.recipe, recipe.networks)
    return whole


def keys_of(assay: Assay, options: Options) -> Sequence[object] | None:
    """What the rule of the split looks at; `stratified` takes the first target where no column is named."""
    if options.split not in splits.COLUMNS or assay.keys is not None:
        return assay.keys
    if options.split == "stratified":
        return list(assay.labels.values[:, 0])
    raise UserError(f"--split {options.split} needs a column of {splits.COLUMNS[options.split]}: add --split-column.")


def views_of(recipe: Recipe) -> tuple[str, ...]:
    """The views to read for a recipe's members, and the graph: of its pieces a target may be a sum."""
    configs = [config_of(spec["kind"], spec["config"]) for spec in recipe.members.values()]
    return to_read({"graph", *(view for config in configs for view in config.views)})


def only(split: Split, known: np.ndarray) -> Split:
    """The split without rows that have no label or no structure."""
    kept = {part: getattr(split, part)[known[getattr(split, part)]] for part in ("train", "valid", "test")}
    return replace(split, **kept)


def make_plan(assay: Assay, options: Options, recipe: Recipe, reading: Reading, split: Split) -> tuple[Plan, list[str]]:
    """Which member is fitted on which rows, and what was decided on the way."""
    notes: list[str] = []
    values = assay.labels.values
    rows, valid = split.train, split.valid
    if options.fit_rows == "train+valid":
        rows, valid = np.sort(np.concatenate([rows, valid])), np.zeros(0, np.int64)
    rows, valid = rows[assay.weight[rows] > 0], valid[assay.weight[valid] > 0]  # weight 0: as if it were not there
    if recipe.folds and len(valid):
        notes.append(
            f"{len(valid)} validation rows are not used: a blend chooses its weights and calibrates by folds of the "
            "training rows. --fit-rows train+valid learns from them too."
        )
    same = repeats(assay.texts if form_of(assay.texts) == "placed" else reading.smiles, rows)
    if recipe.folds == 0 and not len(valid):
        order = epoch_order(options.seed, 4, len(rows))
        aside = kept_aside(order, same, max(LEAST // 4, len(rows) // 10))
        rows, valid = rows[~aside], rows[aside]
        notes.append(f"{len(valid)} training rows are kept aside to stop the training and to calibrate.")
    if len(rows) < LEAST // 2:
        raise UserError(f"The training part has {len(rows)} rows; at least {LEAST // 2} are needed.")
    empty = ~np.isfinite(values[rows]).any(axis=0)
    if empty.any():
        name = assay.labels.names[int(np.argmax(empty))]
        raise UserError(f"No row of the training part has a label in {name!r}. Choose another split, or leave it out.")
    extensive = extensive_targets(assay, reading, rows)
    classes = tuple(tuple(texts or ()) for texts in assay.labels.classes) if assay.task != REGRESSION else ()
    problem = Problem(assay.task, assay.labels.names, classes, extensive)
    fold = np.full(len(values), -1)
    folds = min(recipe.folds, len(rows) if same is None else int(same.max()) + 1)
    fold[rows] = 0
    if folds:
        for number, part in enumerate(splits.kfold(len(rows), folds, options.seed, same)):
            fold[rows[part.test]] = number
    calibrates = np.zeros(len(values), bool)
    calibrates[valid if not folds else []] = True
    members, left = chosen_members(recipe, problem, int(np.isfinite(values[rows]).sum()))
    notes += left
    if any(extensive):
        notes.append(extensive_note(members, problem))
    summing = all(extensive) and len(extensive) > 0
    pieces = [piece for group, spec in members.items() for piece in pieces_of(group, spec, folds, options, summing)]
    notes += readout_notes(pieces, problem)
    data = Data(reading.features, values, assay.labels.censor, assay.weight / assay.weight[rows].mean())
    return Plan(problem, tuple(pieces), data, fold, calibrates), notes


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
    """A sentence on how networks, and branches of one, make a molecule of its atoms, and for which kind of target."""
    told: dict[str, list[str]] = {}
    for group, piece in {piece.group: piece for piece in pieces if piece.kind not in CLASSICAL}.items():
        for (*_, name), place, kind in groups({"kind": piece.kind, "config": piece.config}):
            settings = {k: v for k, v in reduce(getitem, place, piece.config).items() if k != "encoder"}
            if any(one.name == "readout" for one in fields(kind)):
                how: str = configured(kind, settings).readout  # type: ignore[attr-defined]
                told.setdefault(READOUTS.get(how, how), []).append(name if len(place) > 1 else group)
    if not told:
        return []
    plain = problem.task == REGRESSION and not any(problem.extensive)
    first = "The target does not grow with the molecule. " if plain and len(problem.targets) == 1 else ""
    first = "No target grows with the molecule. " if plain and not first else first
    ways = [f"by their {how} in {listed(names)}" for how, names in told.items()]
    return [f"{first}Atoms are read out {', '.join(ways)}."]


def extensive_targets(assay: Assay, reading: Reading, rows: np.ndarray) -> tuple[bool, ...]:
    """Whether each target grows with the molecule, by the training rows alone; () where none may."""
    if assay.task != REGRESSION or form_of(assay.texts) == "reaction":
        return ()
    counts = atom_counts(reading.features, rows)
    return is_extensive(assay.labels.values[rows], counts)


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


def pieces_of(group: str, spec: dict[str, Any], folds: int, options: Options, summing: bool) -> list[Piece]:
    """One piece a fold; a classical member is fitted once more on all rows and answers by that fit alone.

    summing: whether all targets grow with the molecule, so that networks add up their atoms
    """
    config, kind = deepcopy(spec["config"]), spec["kind"]
    if summing and kind not in CLASSICAL:
        summed(spec | {"config": config})
    places: list[int | None] = [*range(folds), *([None] if kind in CLASSICAL or not folds else [])]
    seeds = options.seeds if kind not in CLASSICAL else 1
    return [
        Piece(
            f"{group}.{'all' if fold is None else fold}-{number}", group, kind, config, fold, 100 * number + (fold or 0)
        )
        for fold in places
        for number in range(options.seed, options.seed + seeds)
    ]


def summed(spec: dict[str, Any]) -> None:
    """Let a network of an extensive target add up its atoms, in every branch, unless its settings say otherwise."""
    for _, place, kind in groups(spec):
        if place[0] == "encoder_config" and any(one.name == "readout" for one in fields(kind)):
            reduce(getitem, place, spec["config"]).setdefault("readout", "sum")


def rows_key(plan: Plan, texts: Sequence[str], seen: list[object]) -> str:
    """A hash of all that pieces of one plan share: structures, how they are seen, labels, rows and versions."""
    data = plan.data
    assert data.values is not None and data.censor is not None and data.weight is not None  # noqa: PT018
    lists = [np.nan_to_num(data.values, nan=1e300), data.censor, data.weight, plan.fold, plan.valid]
    arrays = [array.tolist() for array in lists]
    return config_hash([asdict(plan.problem), arrays, list(texts), seen, FORMAT, versions()])


def workers_for(plan: Plan, options: Options) -> int:
    """Worker processes: as many as cores and pieces allow; none for a single piece."""
    return max(1, min(Limits(options.limits.workers).count, len(plan.pieces)))


def blend(plan: Plan, parts: Path, options: Options, recipe: Recipe) -> tuple[Model, np.ndarray, np.ndarray]:
    """The finished pieces as a model, what its groups said of rows they had not seen, and which rows those are.

    → model, told (G, m, T, K), held (m,)
    """
    groups = list(dict.fromkeys(piece.group for piece in plan.pieces))
    folds = any(piece.fold is not None for piece in plan.pieces)
    held = np.flatnonzero(plan.fold >= 0) if folds else np.flatnonzero(plan.valid)
    total = np.zeros((len(groups), len(plan.fold), len(plan.problem.targets), plan.problem.outputs))
    count = np.zeros((len(groups), len(plan.fold), 1, 1))
    members: dict[str, Fitted] = {}
    for piece in plan.pieces:
        fitted, rows, told = load_piece(parts, plan, piece)
        if not folds or piece.fold is not None:
            total[groups.index(piece.group), rows] += told
            count[groups.index(piece.group), rows] += 1
        if piece.kind not in CLASSICAL or piece.fold is None:
            members[piece.name] = fitted
    told = total[:, held] / np.maximum(count[:, held], 1)
    data = plan.data
    assert data.values is not None and data.censor is not None  # noqa: PT018
    weights = fit_weights(told, data.values[held], data.censor[held], plan.problem)
    intervals: list[Intervals | None] = []
    if plan.problem.task == REGRESSION:
        error = combine(weights, told)[:, :, 0] - data.values[held]
        error[data.censor[held] != 0] = np.nan
        width = spread(told[(weights > 0).any(axis=0)])
        intervals = [Intervals.fit(error[:, t], width[:, t]) for t in range(error.shape[1])]
    settings = {view: told.answering() for view, told in recipe.settings().items()}
    return Model({}, plan.problem, options.standard, members, weights, intervals, settings), told, held


def make_card(
    assay: Assay,
    options: Options,
    recipe: Recipe,
    reading: Reading,
    split: Split,
    plan: Plan,
    scores: dict[str, Scores],
    notes: list[str],
) -> dict[str, Any]:
    """Everything about a model that a stranger wants to know."""
    codes, counts = np.unique(reading.codes, return_counts=True)
    return {
        "kind": "model",
        "task": assay.task,
        "why": assay.why,
        "targets": list(assay.labels.names),
        "units": list(assay.units),
        "columns": list(assay.columns),
        "data": {"sha256": config_hash([assay.texts, np.nan_to_num(assay.labels.values, nan=1e300).tolist()])},
        "recipe": options.recipe,
        "overrides": options.overrides,
        "members_config": recipe.members,
        "folds": recipe.folds,
        "seed": options.seed,
        "level": options.level,
        "split": {"name": split.name, "sha256": split.sha256, "sizes": list(split.sizes)},
        "fit_rows": {"part": options.fit_rows, "count": int((plan.fold >= 0).sum())},
        "rows": dict(zip(codes.tolist(), counts.tolist(), strict=True)),
        "metrics": {part: as_card(groups, assay.labels.names) for part, groups in scores.items()},
        "placed": form_of(assay.texts) == "placed",
        "notes": notes,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """What the model was made with."""
    from importlib.metadata import version

    names = ("torch", "rdkit", "numpy", "scikit-learn", "lightgbm", "crepes")
    return {"tetramer": __version__, "python": sys.version.split()[0]} | {name: version(name) for name in names}
