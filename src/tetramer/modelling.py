"""From measurements to a model: read, split, plan, fit, blend, calibrate, score. The work behind `tetramer train`."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
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
from tetramer.members import REGRESSION
from tetramer.members.base import to_read
from tetramer.members.blend import combine, fit_weights, spread
from tetramer.members.intervals import Intervals
from tetramer.members.origin import Origin, read_origin, together
from tetramer.members.plan import Plan
from tetramer.members.work import Fitted, Progress, config_of, load_piece, run
from tetramer.molecules import Limits, Standard
from tetramer.molecules.keys import keys
from tetramer.overrides import CLASSICAL
from tetramer.planning import chosen_members, extensive_note, pieces_of, problem_of, readout_notes
from tetramer.reading import geometry_counts, geometry_notes, read_into
from tetramer.recipes import Recipe, resolve
from tetramer.scoring import Scores, as_card, by_group, interval_notes, leak_notes, origin_notes, score
from tetramer.training import Data, epoch_order
from tetramer.views import Reader, Reading

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
    answers: dict[str, Answer]  # part → answers of its rows: of `split.test`, and of `held`
    groups: dict[str, dict[str, np.ndarray]]  # part → group as in `scores` → its answers (n, T, K)
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
    column = keys_of(assay, options)
    for note in (*assay.notes, assay.why, *["The structures are reactions."] * (form == "reaction")):
        say(note)
    with Reader(options.standard, options.limits, recipe.settings()) as reader:
        reading = read_into(parts, reader, assay.texts, views_of(recipe), progress)
    known = usable_rows(assay, reading, say)
    if given is None:
        given = splits.make(options.split, reading.smiles, options.seed, valid_labels=known, keys=column)
    split = only(given, known)
    plan, notes = make_plan(assay, options, recipe, reading, split)
    plan = plan.beginning(origin)
    notes = [*left_out(given, split, known), *notes]
    notes += [*meanings(plan.problem, assay.units), *origin_notes(options.recipe, recipe, plan)]
    places = geometry_counts(reading, np.flatnonzero(known))
    notes += geometry_notes(places, form == "placed")
    shared = shared_by(split, reading.smiles, options) if len(split.test) else None
    notes += [
        *(leak_notes(shared, form if form == "reaction" else "molecule") if shared else []),
        *interval_notes(plan, options.level),
    ]
    for note in notes:
        say(note)
    plan.place(parts, rows_key(plan, assay.texts, [reading.smiles, recipe.views]), say)
    run(parts, plan, workers_for(plan, options), progress)
    model, told, held = blend(plan, parts, options, recipe)
    said = {"held-out": (held, told)}
    if len(split.test):
        said["test"] = (split.test, model.told(reading.features, split.test))
    groups = {part: by_group(plan, model, told) for part, (_, told) in said.items()}
    scores = {part: score(plan, groups[part], rows) for part, (rows, _) in said.items()}
    answers = {part: model.blended(told, options.level) for part, (_, told) in said.items()}
    card = make_card(assay, options, recipe, reading, split, plan, scores, notes)
    card["split"] |= {"leak": shared} if shared else {}
    card |= {"geometries": places} if places else {}
    card |= {} if origin is None else {"from": {"name": origin.name, "kind": origin.kind, "sha256": origin.sha256}}
    model = replace(model, card=card)
    return Result(model, assay, reading, split, plan, scores, held, answers, groups, notes)


def shared_by(split: Split, smiles: Sequence[str], options: Options) -> dict[str, int]:
    """What the test part shares with the others. InChIKeys cost about half a second a thousand molecules."""
    limits = options.limits if len(smiles) > splits.MANY else Limits(0)
    names = None if options.standard.reactions else keys(smiles, "skeleton", limits)  # a reaction has none
    return splits.leak(split, smiles, names, options.limits)


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


def usable_rows(assay: Assay, reading: Reading, say: Callable[[str], None]) -> np.ndarray:
    """(n,) bool, which rows have a label and a structure; what became of the others is said."""
    known: np.ndarray = np.isfinite(assay.labels.values).any(axis=1) & reading.ok
    if not reading.ok.all():
        say(refusals(reading))
    if known.sum() < LEAST:
        why = "" if reading.ok.any() else f" {refusals(reading)} Is it the right column?"
        raise UserError(
            f"{int(known.sum())} rows have a label and a readable structure; at least {LEAST} are needed.{why}"
        )
    return known


def refusals(reading: Reading) -> str:
    """A sentence on the structures that cannot be read: how many, by code, and why the first one."""
    codes = Counter(code for code in reading.codes if code != "ok")
    first = next(row for row, code in enumerate(reading.codes) if code != "ok")
    which = ", ".join(f"{count} {code}" for code, count in codes.most_common())
    return (
        f"{codes.total()} of {len(reading)} structures cannot be read and are left out ({which}), such as row "
        f"{first + 1}: {reading.reasons[first]}."
    )


def left_out(given: Split, split: Split, known: np.ndarray) -> list[str]:
    """Sentences on rows of `known` that are in no part, and on parts of which no row is left."""
    count = int(known.sum()) - sum(split.sizes)
    notes = [f"{count} labelled rows are in no part of the split: nothing learns from them."] if count else []
    for part, name in (("valid", "validation"), ("test", "test")):
        rows = getattr(given, part)
        if len(rows) and not len(getattr(split, part)):
            notes.append(f"None of the {len(rows)} {name} rows has a label and a readable structure.")
    return notes


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
    same = repeats(reading.smiles, rows)
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
    problem = problem_of(assay, reading, rows)
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
    if any(problem.extensive):
        notes.append(extensive_note(members, problem))
    summing = any(problem.extensive) and all(problem.extensive)
    seeds = range(options.seed, options.seed + options.seeds)
    pieces = [piece for group, spec in members.items() for piece in pieces_of(group, spec, folds, seeds, summing)]
    notes += readout_notes(pieces, problem)
    data = Data(reading.features, values, assay.labels.censor, assay.weight / assay.weight[rows].mean())
    return Plan(problem, tuple(pieces), data, fold, calibrates), notes


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
        "elements": elements_of(reading, np.flatnonzero(plan.fold >= 0)),
        "notes": notes,
        "versions": versions(),
    }


def elements_of(reading: Reading, rows: np.ndarray) -> list[int]:
    """The elements among `rows`, by atomic number, hydrogen aside."""
    there = reading.elements()
    assert there is not None, "the graph is always read"
    return list(map(int, np.flatnonzero(there[rows].any(axis=0))))


def versions() -> dict[str, str]:
    """What the model was made with."""
    from importlib.metadata import version

    names = ("torch", "rdkit", "numpy", "scikit-learn", "lightgbm", "crepes")
    return {"tetramer": __version__, "python": sys.version.split()[0]} | {name: version(name) for name in names}
