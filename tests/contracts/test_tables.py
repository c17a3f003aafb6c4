"""What every row of the tables must keep: members of every kind on every task, recipes, splits, objectives."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tetramer.checkpoint import Files, pack, unpack
from tetramer.datasets.splits import COLUMNS, SPLITS, make
from tetramer.encoders import ENCODERS
from tetramer.errors import UserError
from tetramer.members import BINARY, MEMBERS, MULTICLASS, REGRESSION, Problem
from tetramer.members.base import atom_counts
from tetramer.members.kernels import MACHINES
from tetramer.members.plan import Piece, Plan
from tetramer.members.trees import MODES
from tetramer.members.work import Fitted, config_of, fit_piece, load_piece
from tetramer.modelling import views_of
from tetramer.optimizers import OPTIMIZERS
from tetramer.recipes import RECIPES, SHARED, resolve
from tetramer.training import SCHEDULES, Data, TrainConfig
from tetramer.views import VIEWS
from tetramer.views.base import take

BRANCHES = {"fingerprint": {"widths": [16]}, "graph": {"width": 16}, "conformer": {"width": 8, "depth": 1}}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    **{mode: ("trees", {"mode": mode, "trees": 12}) for mode in MODES},
    "shared-forest": ("forest", {"trees": 30, "least": 2}),
    **{machine: ("kernels", {"machine": machine}) for machine in MACHINES},
    "mlp": ("neural", {"encoder": "mlp", "encoder_config": {"widths": [24]}}),
    "mpnn": ("neural", {"encoder": "mpnn", "encoder_config": {"width": 24, "depth": 2, "readout": "mean"}}),
    "tag": ("neural", {"encoder": "tag", "encoder_config": {"width": 16, "features": "full"}}),
    "gin": ("neural", {"encoder": "gin", "encoder_config": {"width": 16, "depth": 2}}),
    "reaction-mpnn": ("neural", {"encoder": "reaction-mpnn", "encoder_config": {"width": 24, "readout": "mean"}}),
    "reaction-tag": ("neural", {"encoder": "reaction-tag", "encoder_config": {"width": 16, "features": "full"}}),
    "reaction-gin": ("neural", {"encoder": "reaction-gin", "encoder_config": {"width": 16, "depth": 2}}),
    "transformer": ("neural", {"encoder": "transformer", "encoder_config": {"width": 16, "depth": 1, "heads": 2}}),
    "lstm": ("neural", {"encoder": "lstm", "encoder_config": {"width": 16, "depth": 1, "embedding": 8}}),
    "egnn": ("neural", {"encoder": "egnn", "encoder_config": {"width": 16, "depth": 1}}),
    "schnet": ("neural", {"encoder": "schnet", "encoder_config": {"width": 16, "depth": 1, "filters": 8}}),
    "painn": ("neural", {"encoder": "painn", "encoder_config": {"width": 16, "depth": 1}}),
    "combining-mpnn": ("neural", {"encoder": "combining-mpnn", "encoder_config": {"width": 16, "depth": 1}}),
    "combining-egnn": ("neural", {"encoder": "combining-egnn", "encoder_config": {"width": 16, "depth": 1}}),
    "fusion": ("neural", {"encoder": "fusion", "encoder_config": {"branches": BRANCHES}}),
}
TRAINING = {"epochs": 30, "batch": 16, "peak": 6e-3}
NAMES = ("a", "b", "c")


def piece(case: str, fold: int | None = None) -> Piece:
    kind, config = KINDS[case]
    if kind == "neural":
        config = config | {"head": {"widths": [16]}, "training": TRAINING}
    return Piece(case, case, kind, config, fold, 0)


def problem_of(task: str, targets: int = 1, extensive: tuple[bool, ...] = ()) -> Problem:
    classes = {REGRESSION: (), BINARY: (("0", "1"),) * targets, MULTICLASS: (("x", "y", "z"),) * targets}[task]
    return Problem(task, NAMES[:targets], classes, extensive)


@dataclass
class World:
    """Molecules with labels that can be learned: the count of heteroatoms, and classes of it."""

    features: dict[str, Any]

    @property
    def count(self) -> int:
        return len(self.features["graph"])

    def labels(self, task: str) -> np.ndarray:
        counts = atom_counts(self.features, np.arange(self.count))
        hetero = counts[:, 7] + 2 * counts[:, 8] + counts[:, 9]
        if task == REGRESSION:
            return hetero + 0.05 * counts[:, 6]
        return (hetero > 1.5).astype(float) if task == BINARY else np.clip(np.floor(hetero / 2), 0, 2)

    def data(self, values: np.ndarray, censor: np.ndarray | None = None, weight: np.ndarray | None = None) -> Data:
        values = values.reshape(self.count, -1)
        censor = np.zeros(values.shape, np.int8) if censor is None else censor.reshape(values.shape).astype(np.int8)
        return Data(self.features, values, censor, np.ones(self.count) if weight is None else weight)


@pytest.fixture
def world(features: dict[str, Any]) -> World:
    return World(features)


def fit(tmp_path: Any, case: str, problem: Problem, data: Data, rows: np.ndarray, name: str = "p") -> Fitted:
    """Fitted as `train` does it, written down and read again."""
    fold = np.full(len(data.values), -1)  # type: ignore[arg-type]
    fold[rows] = 0
    plan = Plan(problem, (piece(case),), data, fold, np.zeros(len(fold), bool))
    fit_piece(tmp_path / name, plan, plan.pieces[0])
    return load_piece(tmp_path / name, plan, plan.pieces[0])[0]


def files_of(fitted: Fitted) -> tuple[str, Files]:
    card, files = fitted.state()
    return json.dumps(card, sort_keys=True), files


ALL = np.arange(80)
REST = (np.arange(16) * 23) % 80  # 16 of them, of most cores and groups; every element is in the others too
TRAIN = np.setdiff1d(ALL, REST)


def test_every_kind_machine_mode_and_encoder_is_swept() -> None:
    assert {kind for kind, _ in KINDS.values()} == set(MEMBERS)
    swept = set(MODES) | set(SHARED) | set(MACHINES) | set(ENCODERS)
    assert not swept ^ set(KINDS)
    assert all(name == kind.KIND for name, kind in MEMBERS.items())


@pytest.mark.parametrize("task", [REGRESSION, BINARY, MULTICLASS])
@pytest.mark.parametrize("case", KINDS)
def test_learns_answers_in_shape_and_survives_the_disk(case: str, task: str, world: World, tmp_path: Any) -> None:
    problem, truth = problem_of(task), world.labels(task)
    fitted = fit(tmp_path, case, problem, world.data(truth), TRAIN)
    told = fitted.predict(world.features, ALL)
    assert told.shape == (80, 1, problem.outputs)
    assert told.dtype == np.float64
    assert np.isfinite(told).all()
    if task == REGRESSION:
        assert np.corrcoef(told[REST, 0, 0], truth[REST])[0, 1] > 0.6
    else:
        assert ((told >= 0) & (told <= 1)).all()
        best = told[:, 0, 0] > 0.5 if task == BINARY else told[:, 0].argmax(axis=1)
        common = max(np.mean(truth[REST] == k) for k in range(3))
        assert np.mean(best[REST] == truth[REST]) > max(0.55, common - 0.1)
    if task == MULTICLASS:
        assert told.sum(axis=2) == pytest.approx(1.0)
    again = Fitted.from_state(json.loads(files_of(fitted)[0]), fitted.state()[1], problem)
    assert np.array_equal(again.predict(world.features, ALL), told)
    assert files_of(again) == files_of(fitted)


@pytest.mark.parametrize("case", KINDS)
def test_the_same_data_give_the_same_bytes_and_other_rows_do_not_matter(case: str, world: World, tmp_path: Any) -> None:
    """Test rows poisoned with 1e30 and NaN: nothing that is fitted may see them."""
    problem, truth = problem_of(REGRESSION), world.labels(REGRESSION)
    clean = fit(tmp_path, case, problem, world.data(truth), TRAIN, "clean")
    poison, weight = truth.copy(), np.ones(80)
    poison[REST], weight[REST] = 1e30, 1e30
    features = {view: take(columns, ALL) for view, columns in world.features.items()}
    features["fingerprint"].descriptors[REST] = 1e30
    features["fingerprint"].elements[REST] = 60_000
    data = World(features).data(poison, np.where(np.isin(ALL, REST), 1, 0), weight)
    spoilt = fit(tmp_path, case, problem, data, TRAIN, "spoilt")
    assert files_of(clean) == files_of(spoilt)


@pytest.mark.parametrize("case", KINDS)
def test_bounds_move_the_answer_to_their_side(case: str, world: World, tmp_path: Any) -> None:
    """ "> 30" where the other labels lie below 8 pulls answers up, "< -30" down; "> -30" and "< 30" hardly do."""
    problem, truth = problem_of(REGRESSION), world.labels(REGRESSION)
    bound = TRAIN[::4]

    def mean(sign: int, value: float | None) -> float:
        values, censor = truth.copy(), np.zeros(80)
        values[bound] = value
        censor[bound] = sign
        fitted = fit(tmp_path, case, problem, world.data(values, censor), TRAIN, f"{sign}{value}")
        return float(fitted.predict(world.features, bound).mean())

    far_above, far_below = mean(1, 30.0), mean(-1, -30.0)
    idle_low, idle_high = mean(1, -30.0), mean(-1, 30.0)
    assert far_above > idle_low + 3
    assert far_below < idle_high - 3
    assert far_above > far_below + 6


@pytest.mark.parametrize("case", ["boosted", "forest", "svm", "gp"])
def test_a_bound_that_is_kept_is_as_if_the_first_guess_were_measured(case: str, world: World, tmp_path: Any) -> None:
    problem, truth = problem_of(REGRESSION), world.labels(REGRESSION)
    values, censor = truth.copy(), np.zeros(80)
    values[TRAIN[::4]], censor[TRAIN[::4]] = -1e6, 1  # "> -1000000" says nothing
    fitted = fit(tmp_path, case, problem, world.data(values, censor), TRAIN)
    told = fitted.predict(world.features, TRAIN)[:, 0, 0]
    assert told.min() > truth.min() - 3


@pytest.mark.parametrize("case", KINDS)
def test_only_bounds_and_no_exact_label(case: str, world: World, tmp_path: Any) -> None:
    truth = world.labels(REGRESSION)
    middle = np.median(truth)
    data = world.data(np.where(truth > middle, 3.0, 1.0), np.where(truth > middle, 1, -1))
    told = fit(tmp_path, case, problem_of(REGRESSION), data, TRAIN).predict(world.features, ALL)[:, 0, 0]
    assert np.isfinite(told).all()
    assert told[truth > middle].mean() > told[truth <= middle].mean() + 0.3


@pytest.mark.parametrize("case", KINDS)
def test_several_targets_with_gaps(case: str, world: World, tmp_path: Any) -> None:
    truth = world.labels(REGRESSION)
    values = np.stack([truth, -truth, np.full(80, 4.0)], axis=1)
    values[::3, 0], values[1::3, 1] = np.nan, np.nan
    told = fit(tmp_path, case, problem_of(REGRESSION, 3), world.data(values), TRAIN).predict(world.features, ALL)
    assert told.shape == (80, 3, 1)
    assert np.isfinite(told).all()
    assert np.corrcoef(told[:, 0, 0], truth)[0, 1] > 0.6
    assert np.corrcoef(told[:, 1, 0], truth)[0, 1] < -0.6
    assert told[:, 2, 0] == pytest.approx(4.0, abs=0.3)


@pytest.mark.parametrize("task", [BINARY, MULTICLASS])
@pytest.mark.parametrize("case", KINDS)
def test_one_class_only_in_the_rows_at_hand(case: str, task: str, world: World, tmp_path: Any) -> None:
    """A fold may hold one class of a target; the answer is finite and leans to it."""
    told = fit(tmp_path, case, problem_of(task), world.data(np.ones(80)), TRAIN).predict(world.features, ALL)
    assert np.isfinite(told).all()
    assert (told[:, 0, 1 if task == MULTICLASS else 0] > 0.5).all()


@pytest.mark.parametrize("case", KINDS)
def test_rows_without_the_view_have_no_answer(case: str, world: World, tmp_path: Any) -> None:
    fitted = fit(tmp_path, case, problem_of(REGRESSION), world.data(world.labels(REGRESSION)), TRAIN)
    features = {view: take(columns, ALL) for view, columns in world.features.items()}
    for columns in features.values():
        columns.ok[[3, 7]] = 0
    told = fitted.predict(features, ALL)[:, 0, 0]
    assert np.flatnonzero(np.isnan(told)).tolist() == [3, 7]
    clean = fitted.predict(world.features, ALL)[:, 0, 0]
    assert np.delete(told, [3, 7]) == pytest.approx(np.delete(clean, [3, 7]), rel=1e-5, abs=1e-5)
    assert fitted.predict(features, np.array([3, 7])).shape == (2, 1, 1)
    assert fitted.predict(features, np.zeros(0, int)).shape == (0, 1, 1)


@pytest.mark.parametrize("case", KINDS)
def test_a_fit_on_what_a_molecule_is_made_of_is_added_to_the_answer(case: str, world: World, tmp_path: Any) -> None:
    """A sum over atoms is recovered, whatever the member makes of the rest (which is nothing)."""
    counts = atom_counts(world.features, ALL)
    energy = counts @ np.linspace(-500.0, -3.0, counts.shape[1])
    fitted = fit(tmp_path, case, problem_of(REGRESSION, 1, (True,)), world.data(energy), TRAIN)
    known = ~(counts[:, ~(counts[TRAIN] > 0).any(axis=0)] > 0).any(axis=1)
    told = fitted.predict(world.features, ALL)[:, 0, 0]
    assert told[known] == pytest.approx(energy[known], rel=1e-5)
    assert np.isnan(told[~known]).all()  # of an element that no training molecule has, nothing is known


@pytest.mark.parametrize("case", KINDS)
def test_spoilt_files_are_refused(case: str, world: World, tmp_path: Any) -> None:
    problem = problem_of(REGRESSION)
    fitted = fit(tmp_path, case, problem, world.data(world.labels(REGRESSION)), TRAIN)
    card, files = fitted.state()
    card = json.loads(json.dumps(card))
    name = max(files, key=lambda one: one.endswith("safetensors"))
    spoilt = [
        *((card, {other: text for other, text in files.items() if other != one}) for one in files),
        *((card, files | {one: wrong}) for one in files for wrong in (b"", b"tree\nversion=v4\n")),
        ({}, files),
        (card | {"kind": "exec"}, files),
    ]
    spoilt += [(card | {"member": []}, files), (card | {"member": {"config": {"x": 1}}}, files)]
    if name.endswith("safetensors"):
        arrays = unpack(files[name], name)
        first = next(n for n, value in arrays.items() if value.dtype.kind == "f" and value.ndim == 2)
        for value in (np.inf,) if case in SHARED else (np.nan, np.inf):  # a label may be unknown
            bad = arrays[first].copy()
            bad[0, 0] = value
            spoilt.append((card, files | {name: pack(arrays | {first: bad})}))
        spoilt.append((card, files | {name: pack(arrays | {first: arrays[first][:-1]})}))
        spoilt.append((card, files | {name: pack({n: value for n, value in arrays.items() if n != first})}))
    for one, parts in spoilt:
        if (one, parts) == (card, {}) and name.endswith("txt"):
            continue  # trees: a target without a file answers its constant
        with pytest.raises(UserError):
            Fitted.from_state(one, parts, problem)


def test_a_card_that_asks_for_a_huge_network_costs_nothing(world: World, tmp_path: Any) -> None:
    fitted = fit(tmp_path, "mpnn", problem_of(REGRESSION), world.data(world.labels(REGRESSION)), TRAIN)
    card, files = fitted.state()
    card["member"]["config"]["encoder_config"]["width"] = 10**6  # 10^12 numbers, if anyone made them
    with pytest.raises(UserError, match="do not fit the network of the card"):
        Fitted.from_state(card, files, problem_of(REGRESSION))


# ---- recipes, splits and the other tables


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(name: str) -> None:
    recipe = resolve(name, {})
    assert recipe.about
    assert views_of(recipe)
    for spec in recipe.members.values():
        assert spec["kind"] in MEMBERS
        config_of(spec["kind"], spec["config"])
        assert json.loads(json.dumps(spec)) == spec  # plain data
    kinds = {spec["kind"] for spec in recipe.members.values()}
    assert recipe.folds or kinds == {"neural"}
    assert name == name.lower()


def test_a_recipe_reads_every_view_its_members_need() -> None:
    for recipe in RECIPES.values():
        views = set()
        for spec in recipe.members.values():
            views |= set(config_of(spec["kind"], spec["config"]).views)
        assert set(views_of(recipe)) == views | {"graph"}  # of whose pieces a target may be a sum
    assert views_of(RECIPES["auto"]) == ("fingerprint", "graph")
    assert views_of(RECIPES["fusion"]) == tuple(VIEWS)


RINGS = [("C", b) for b in ("CC", "CO", "CN", "CS", "C=CC", "COCC", "CNCC", "CSCC", "CCC(=O)", "CC(=O)N")]
RINGS += [("c", b) for b in ("cccc", "cccn", "ccnc", "nccc", "cco", "ccs", "cc[nH]", "coc", "csc", "c[nH]n")]


@pytest.mark.parametrize("name", SPLITS)
def test_splits(name: str) -> None:
    smiles = [f"{a}1{b}{a}1{g}" for a, b in RINGS for g in ("O", "C(=O)N", "F", "S(=O)(=O)C")]
    keys = [str(i // 2) for i in range(80)] if name in COLUMNS else None
    keys = ["train", "train", "valid", "test"] * 20 if name == "column" else keys
    kept = np.ones(80, bool)
    kept[[2, 5]] = False
    split = make(name, smiles, 1, valid_labels=kept, keys=keys)
    rows = np.concatenate([split.train, split.valid, split.test])
    assert np.array_equal(np.sort(rows), np.flatnonzero(kept))
    assert split.sha256 == make(name, smiles, 1, valid_labels=kept, keys=keys).sha256
    assert len(split.sha256) == 64
    assert len(split.train) >= 0.5 * kept.sum()


@pytest.mark.parametrize("option", ["optimizer", "schedule"])
def test_training_tables(option: str) -> None:
    for name in OPTIMIZERS if option == "optimizer" else SCHEDULES:
        TrainConfig(**{option: name})
    assert all(map(callable, SCHEDULES.values()))
