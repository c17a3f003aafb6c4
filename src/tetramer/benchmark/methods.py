"""What a benchmark compares, by name: free baselines, single members, recipes, a linear head on given vectors, peers.

A method is given a case whose test labels are blank, and answers the test rows.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tetramer.benchmark import external, plain
from tetramer.benchmark.cases import Case
from tetramer.checkpoint import config_hash
from tetramer.datasets.placed import Form
from tetramer.datasets.splits import Split
from tetramer.errors import UserError, nearest
from tetramer.inference import LEVEL, Model, Pretrained, load_embedder, vectors
from tetramer.members.blend import PRIOR
from tetramer.members.origin import read_origin
from tetramer.members.plan import Piece, Plan
from tetramer.members.work import fit_piece, load_piece, one_thread
from tetramer.modelling import Options, train, views_of
from tetramer.molecules import Limits, Standard
from tetramer.planning import problem_of
from tetramer.reading import read_into
from tetramer.recipes import RECIPES, SHARED, TREES, is_recipe, resolve, takes
from tetramer.training import Data
from tetramer.views import Reader, Reading
from tetramer.views.base import Settings


@dataclass(frozen=True)
class Told:
    """What a method says of m test rows, and of itself."""

    values: np.ndarray  # (m, T, K); NaN where it has no answer
    fitted_on: int  # rows whose labels it learned from
    low: np.ndarray | None = None  # (m, T) ends of its 90 % intervals
    high: np.ndarray | None = None
    members: dict[str, np.ndarray] = field(default_factory=dict)  # of a blend: name → (m, T, K)
    weights: dict[str, float] = field(default_factory=dict)  # their mean weights over the targets
    parameters: int | None = None  # of its networks, one fit of each; None: it has none
    vectors: np.ndarray | None = None  # (m, D) what a single network makes of the molecules
    held: np.ndarray | None = None  # (v,) rows it was given and did not learn from, and
    held_values: np.ndarray | None = None  # (v, T, K) what it says of them


@dataclass(frozen=True)
class Given:
    """One task for a method: learn from `fitted`, stop or choose on the rows of split.valid if need be."""

    case: Case  # the labels of the test rows are blank
    split: Split
    seed: int
    fit_rows: str  # train, or train+valid
    folder: Path  # for unfinished work; a killed run goes on from it
    workers: int | None = None

    @property
    def fitted(self) -> np.ndarray:
        """(n,) rows to learn from."""
        if self.fit_rows == "train":
            return self.split.train
        return np.sort(np.concatenate([self.split.train, self.split.valid]))


@dataclass(frozen=True)
class Method:
    """`config` is all that decides its answers, beside data, split, seed and fitted rows."""

    run: Callable[[Given], Told]
    config: Any
    about: str
    folds: int = 0  # of a blend: fits whose rows are those of the other blends with as many

    @property
    def sha256(self) -> str:
        """A hash of the settings: rows of different settings are never mixed."""
        return config_hash(self.config)


def by_plain(name: str) -> Method:
    """A free baseline of `plain.PLAIN`."""
    known = plain.PLAIN[name]
    return Method(lambda given: _plain(given, name), {"plain": name, "version": known.version}, known.about)


def _plain(given: Given, name: str) -> Told:
    with one_thread():
        told = plain.answer(name, given.case, given.fitted, given.split.test)
    return Told(told, len(given.fitted))


def by_probe(path: Path) -> Method:
    """The linear head on the frozen vectors of a model folder, or of an encoder that was pretrained."""
    model = load_embedder(path)
    config = {"probe": model.card["sha256"], "version": plain.VERSION}
    made: dict[str, np.ndarray] = {}  # data set → its vectors, which are those of all its splits
    return Method(lambda given: _probe(given, model, made), config, f"linear head on the frozen vectors of {path.name}")


def _probe(given: Given, model: Model | Pretrained, made: dict[str, np.ndarray]) -> Told:
    with one_thread():
        if given.case.sha256 not in made:
            reading = read_once(given, model.views, model.settings, model.standard)
            made[given.case.sha256] = vectors(model, reading)
        told = plain.probe(made[given.case.sha256], given.case, given.fitted, given.split.test)
    return Told(told, len(given.fitted))


def read_once(given: Given, views: Sequence[str], settings: dict[str, Settings], standard: Standard) -> Reading:
    """The structures as a method looks at them, kept beside the data set for its other rows."""
    with Reader(standard, Limits(given.workers), settings) as reader:
        return read_into(given.case.folder, reader, given.case.assay.texts, views, lambda *_: None)


def by_member(name: str) -> Method:
    """One of MEMBERS, as anybody would run it: all rows, no folds, no trend taken off first."""
    spec = (TREES | SHARED)[name]
    config = spec["config"] | {"trend": False}
    return Method(
        lambda given: _member(given, name, spec["kind"], config),
        {"member": name, "kind": spec["kind"], **config},
        f"{MEMBERS[name]} on substructure counts and descriptors",
    )


def _member(given: Given, name: str, kind: str, config: dict[str, Any]) -> Told:
    assay, rows = given.case.assay, given.fitted
    problem = problem_of(assay, given.case.reading, rows)
    fold = np.full(len(assay.texts), -1)
    fold[rows] = 0
    piece = Piece(f"{name}.all-{given.seed}", name, kind, config, None, 100 * given.seed)
    data = Data(given.case.reading.features, assay.labels.values, assay.labels.censor, assay.weight)
    plan = Plan(problem, (piece,), data, fold, np.zeros(len(fold), bool))
    with one_thread():
        fit_piece(given.folder, plan, piece)
        fitted, _, _ = load_piece(given.folder, plan, piece)
        return Told(fitted.predict(data.features, given.split.test), len(rows))


def by_recipe(
    name: str,
    overrides: dict[str, str] | None = None,
    start: Path | None = None,
    form: Form = "plain",
    panel: bool = False,
) -> Method:
    """A recipe, as `tetramer train` fits it, with those of the overrides that it takes.

    start: the folder whose weights its networks begin with   form: what the structures are   panel: many targets
    """
    told = {key: value for key, value in (overrides or {}).items() if takes(name, key)}
    recipe = asdict(resolve(name, told, form, panel))
    if not recipe["views"]:
        del recipe["views"]  # of the rows of recipes that are older than these settings
    config = {"recipe": recipe, "level": LEVEL, "blend": PRIOR}
    if start is not None:
        config["from"] = read_origin(start).sha256
    return Method(lambda given: _recipe(given, name, told, start), config, recipe["about"], recipe["folds"])


def _recipe(given: Given, name: str, overrides: dict[str, str], start: Path | None) -> Told:
    case, rows = given.case, given.split.test
    if not (given.folder / "features").exists():
        recipe = resolve(name, overrides, case.form, case.panel)
        read_once(given, views_of(recipe), recipe.settings(), case.standard)
        shutil.copytree(case.folder / "features", given.folder / "features")
    limits = Limits(given.workers)
    starts = () if start is None else (start,)
    options = Options(name, overrides, "none", given.seed, fit_rows=given.fit_rows, limits=limits, start=starts)
    learned = replace(given.split, test=np.zeros(0, np.int64))
    with one_thread():
        result = train(case.assay, options, given.folder, learned)
        told = result.model.told(result.reading.features, rows)
        answer = result.model.blended(told)
    groups, networks = list(result.model.groups), result.model.networks
    several = len(groups) > 1
    return Told(
        answer.values,
        int((result.plan.fold >= 0).sum()),
        answer.low,
        answer.high,
        dict(zip(groups, told, strict=True)) if several else {},
        dict(zip(groups, result.model.weights.mean(axis=0).round(6).tolist(), strict=True)) if several else {},
        sum(network.parameters for network in networks) or None,
        networks[0].embed(result.reading.features, rows) if len(networks) == 1 else None,
        result.held,
        result.answers["held-out"].values,
    )


def by_chemprop(program: str) -> Method:
    """chemprop by its own command line, in its own environment."""
    config = external.chemprop_config(program)
    return Method(lambda given: _chemprop(given, program), config, f"chemprop {config['version']}, its defaults")


def _chemprop(given: Given, program: str) -> Told:
    # It learns from train; the validation part chooses the epoch.
    told = external.chemprop(program, given.case, given.split, given.seed, given.folder)
    return Told(told, len(given.split.train))


MEMBERS = {
    "lightgbm": "boosted trees",
    "random-forest": "random forest",
    "extra-trees": "extra trees",
    "shared-forest": "one forest for all targets",
}
PEERS = {"chemprop": by_chemprop}  # method → what makes it of the path of its program
PROBE = "probe:"  # followed by a model folder


def names() -> list[str]:
    """All methods that can be named without a path."""
    return [*plain.PLAIN, *MEMBERS, *RECIPES, *PEERS]


def method_of(
    name: str,
    programs: dict[str, str],
    overrides: dict[str, str] | None = None,
    starts: dict[str, str] | None = None,
    form: Form = "plain",
    panel: bool = False,
) -> Method:
    """The method `name` for structures of this form and few or many targets. UserError if there is none.

    programs: peer → path of its command line   starts: recipe → folder of weights that it begins with
    """
    if name in plain.PLAIN:
        return by_plain(name)
    if name in MEMBERS:
        return by_member(name)
    if is_recipe(name):
        start = (starts or {}).get(name)
        return by_recipe(name, overrides, None if start is None else Path(start), form, panel)
    if name in PEERS:
        if name not in programs:
            raise UserError(f"{name} runs by its own command line: say where it is with --{name} PATH.")
        return PEERS[name](programs[name])
    if name.startswith(PROBE):
        return by_probe(Path(name.removeprefix(PROBE)))
    near = nearest(name, names())
    hint = f" Did you mean {near!r}?" if near else ""
    raise UserError(f"There is no method {name!r}.{hint} Choose from: {', '.join(names())}, {PROBE}MODEL_FOLDER.")
