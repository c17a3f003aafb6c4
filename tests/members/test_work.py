"""Pieces on the disk: what is done is not done again, whoever did it, and workers give what one process gives."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from tetramer.checkpoint import pack, read_folder, write_folder
from tetramer.errors import DiskError, Stopped, UserError
from tetramer.members import Trees, work
from tetramer.members.base import REGRESSION, Problem, atom_counts
from tetramer.members.offsets import Trend
from tetramer.members.plan import Piece, Plan
from tetramer.members.references import Pieces
from tetramer.members.trees import TreesConfig
from tetramer.members.work import Crew, died, fit_piece, is_done, key, load_piece, one_thread, run
from tetramer.molecules.conformers import NOTES
from tetramer.training import Data
from tetramer.views import store
from tetramer.views.conformer import ConformerFeatures

TREES = Piece("t.0-0", "t", "trees", {"mode": "boosted", "trees": 3}, 0, 0)
TREES_1 = replace(TREES, name="t.1-0", fold=1, seed=1)
KERNEL = Piece("k.all-0", "k", "kernels", {"machine": "gp"}, None, 0)
NETWORK = Piece(
    "g.0-0",
    "g",
    "neural",
    {"encoder": "mpnn", "encoder_config": {"width": 8}, "head": {}, "training": {"epochs": 2, "batch": 16}},
    0,
    0,
)


@pytest.fixture
def plan(features: dict[str, Any]) -> Plan:
    values = features["fingerprint"].elements[:, [8]].astype(np.float64)
    data = Data(features, values, np.zeros((80, 1), np.int8), np.ones(80))
    fold = np.arange(80) % 2
    fold[70:] = -1
    return Plan(Problem(REGRESSION, ("y",)), (TREES, TREES_1, KERNEL, NETWORK), data, fold, np.zeros(80, bool))


def put(folder: Path, plan: Plan) -> Path:
    for view, columns in plan.data.features.items():
        store.put(folder / "features", view, columns)
    plan.save(folder)
    return folder


def pieces(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "pieces").rglob("*")) if p.is_file()}


def test_rows_of_a_piece_exactly(plan: Plan) -> None:
    rows, held = plan.rows(TREES)
    assert rows.tolist() == list(range(1, 70, 2))
    assert held.tolist() == list(range(0, 70, 2))
    plan.valid[[75, 77]] = True
    rows, held = plan.rows(KERNEL)
    assert rows.tolist() == list(range(70))
    assert held.tolist() == [75, 77]


def test_a_plan_survives_the_disk(plan: Plan, tmp_path: Path) -> None:
    again = Plan.load(put(tmp_path, plan))
    assert (again.problem, again.pieces) == (plan.problem, plan.pieces)
    assert np.array_equal(again.fold, plan.fold)
    assert np.array_equal(again.data.values, plan.data.values)  # type: ignore[arg-type]
    assert np.array_equal(again.data.features["graph"].atoms, plan.data.features["graph"].atoms)


def test_one_process_and_two_give_the_same_bytes(plan: Plan, tmp_path: Path) -> None:
    one, two = put(tmp_path / "one", plan), put(tmp_path / "two", plan)
    shares: list[tuple[str, float]] = []
    run(one, plan, 1, lambda name, share: shares.append((name, share)))
    assert {name for name, share in shares if share == 1.0} == {piece.name for piece in plan.pieces}
    run(two, plan, 2)
    assert pieces(one) == pieces(two)
    assert len(pieces(one)) == 2 * 4 + 4
    again: list[tuple[str, float]] = []
    run(two, plan, 2, lambda name, share: again.append((name, share)))
    assert again == [(piece.name, 1.0) for piece in plan.pieces]  # nothing was done again


def test_answers_for_the_rows_a_piece_had_not_seen(plan: Plan, tmp_path: Path) -> None:
    fit_piece(tmp_path, plan, TREES)
    fitted, rows, told = load_piece(tmp_path, plan, TREES)
    assert rows.tolist() == list(range(0, 70, 2))
    assert np.array_equal(told, fitted.predict(plan.data.features, rows))


def test_a_piece_of_another_plan_or_a_spoilt_one_is_done_again(plan: Plan, tmp_path: Path) -> None:
    assert not is_done(tmp_path, TREES)
    fit_piece(tmp_path, plan, TREES)
    assert is_done(tmp_path, TREES)
    assert not is_done(tmp_path, replace(TREES, seed=5))
    path = tmp_path / "pieces" / TREES.name / "model-0.txt"
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_done(tmp_path, TREES)
    assert key(TREES) != key(replace(TREES, config={"mode": "boosted", "trees": 4}))


def test_errors_of_a_worker_reach_the_parent(plan: Plan, tmp_path: Path) -> None:
    bad = replace(plan, pieces=(replace(TREES, config={"mode": "boosted", "trees": 0}), TREES_1))
    with pytest.raises(UserError, match="trees=0 is out of range"):
        run(put(tmp_path, bad), bad, 2)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs a folder that refuses")
def test_a_disk_that_refuses_a_worker_is_the_disks_error(plan: Plan, tmp_path: Path) -> None:
    """A name that no disk takes."""
    long = replace(plan, pieces=(replace(TREES, name="t" * 300), TREES_1))
    put(tmp_path, long)
    with pytest.raises(UserError, match="cannot be written"):
        run(tmp_path, long, 2)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_worker_that_dies_is_told_and_the_others_end(plan: Plan, tmp_path: Path) -> None:
    crew = Crew(put(tmp_path, plan), plan.pieces, 2, lambda name, share: None)
    os.kill(crew.processes[0].pid, signal.SIGKILL)
    with pytest.raises(
        UserError, match=r"worker process ended by signal 9, most often for want of memory\. What is done"
    ):
        crew.work()
    assert all(process.poll() is not None for process in crew.processes)
    assert "with exit code 3" in died(3)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_stop_of_the_parent_ends_the_workers(plan: Plan, tmp_path: Path) -> None:
    crew = Crew(put(tmp_path, plan), plan.pieces, 2, lambda name, share: None)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(Stopped) as stopped:
        crew.work()
    assert stopped.value.signal == signal.SIGTERM
    assert all(process.poll() is not None for process in crew.processes)


def test_one_thread_inside_and_as_before_outside() -> None:
    with threadpool_limits(2):
        torch.set_num_threads(2)
        with one_thread():
            assert torch.get_num_threads() == 1
            assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        assert torch.get_num_threads() == 2
        assert 2 in {pool["num_threads"] for pool in threadpool_info()}


def test_an_offset_is_kept_beside_the_member(plan: Plan, tmp_path: Path) -> None:
    wide = replace(plan, problem=Problem(REGRESSION, ("y",), (), (True,)))
    fit_piece(tmp_path, wide, TREES)
    fitted, _, _ = load_piece(tmp_path, wide, TREES)
    assert isinstance(fitted.offset, Pieces)
    oxygens = atom_counts(plan.data.features, np.arange(80))[:, [8]]
    told = fitted.offset(plan.data.features, np.arange(80))
    known = np.isfinite(told)  # of elements in the rows it was fitted on
    assert known.sum() > 60
    assert told[known] == pytest.approx(oxygens[known], abs=1e-2)  # the target
    card, files = read_folder(tmp_path / "pieces" / TREES.name)
    files["offset.safetensors"] = pack({"weights": np.full((119, 1), np.nan)})
    write_folder(tmp_path / "pieces" / TREES.name, card, files)
    with pytest.raises(UserError, match="not finite"):
        load_piece(tmp_path, wide, TREES)


def test_a_member_with_a_trend_answers_with_it_and_learns_the_rest(plan: Plan, tmp_path: Path) -> None:
    piece = replace(TREES, config=TREES.config | {"trend": True})
    fit_piece(tmp_path, plan, piece)
    fitted, held, told = load_piece(tmp_path, plan, piece)
    assert isinstance(fitted.offset, Trend)
    rows, _ = plan.rows(piece)
    rest = replace(plan.data, values=plan.data.values - fitted.offset(plan.data.features, np.arange(len(plan.fold))))
    alone = Trees.fit(TreesConfig(**piece.config), plan.problem, rest, rows, piece.seed)
    expected = alone.predict(plan.data.features, held)[:, :, 0] + fitted.offset(plan.data.features, held)
    assert told[:, :, 0] == pytest.approx(expected)


@pytest.mark.parametrize("encoder", ["painn", "fusion"])
def test_nothing_is_learned_from_a_drawing(plan: Plan, tmp_path: Path, encoder: str) -> None:
    """A molecule that was drawn flat counts as one without a geometry, also where it chooses the weights."""
    shape: dict[str, Any] = {"width": 8, "depth": 1}
    config = {"graph": {"width": 8}, "conformer": shape}
    settings = shape if encoder == "painn" else {"branches": config}
    piece = replace(NETWORK, config=NETWORK.config | {"encoder": encoder, "encoder_config": settings}, fold=None)
    made = plan.data.features["conformer"]
    assert isinstance(made, ConformerFeatures)
    some = np.isin(np.arange(80), [1, 4, 9, 75])
    plan.valid[70:] = True

    def answers(name: str, **changed: np.ndarray) -> np.ndarray:
        features = plan.data.features | {"conformer": replace(made, **changed)}
        put(tmp_path / name, replace(plan, pieces=(piece,), data=replace(plan.data, features=features)))
        fit_piece(tmp_path / name, Plan.load(tmp_path / name), piece)
        fitted, _, held = load_piece(tmp_path / name, plan, piece)
        assert np.isnan(held[5]).any() == (encoder == "painn" and name != "as-geometry")  # row 75
        return fitted.predict(features, np.arange(80))

    drawn = answers("drawn", notes=np.where(some, NOTES.index("CONF_2D"), made.notes).astype(np.uint8))
    absent = answers("absent", ok=np.where(some, 0, made.ok).astype(np.uint8))
    assert np.array_equal(drawn, absent, equal_nan=True)
    assert not np.array_equal(drawn[~some], answers("as-geometry")[~some])
    assert np.array_equal(np.isnan(drawn).any(axis=(1, 2)), some & (encoder == "painn"))


def test_disk_errors_keep_their_kind(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise DiskError("full")

    monkeypatch.setattr(work, "write_folder", refuse)
    with pytest.raises(DiskError, match="full"):
        run(tmp_path, replace(plan, pieces=(TREES,)), 1)
