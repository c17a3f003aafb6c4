"""The study from end to end on a few molecules: encoders once, rows once, a page of all of them."""

import json
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tetramer.benchmark import protocol
from tetramer.benchmark.grouping import Setting
from tetramer.benchmark.standing import Line, Pair, Standing
from tetramer.errors import UserError
from tetramer.isomers import QUESTIONS, Question
from tetramer.studies import Asked, motif, motif_page, motif_tasks
from tetramer.studies.base import Reach, Rows
from tetramer.studies.finished import Measured, encoder_of, frozen
from tetramer.studies.motif import HELD, MODELS
from tetramer.studies.motif_claims import (
    bonds,
    collapse,
    collapsed,
    lost,
    need,
    one_vector,
    property_of,
    side,
    verdicts,
)
from tetramer.studies.motif_page import COLUMNS, DIFFERENCES, PRINTED, Story
from tetramer.studies.motif_tasks import FREE_ROWS, TASKS

TINY = Reach(
    "for the test", 60, 0, 2, 60, repeats=2,
    overrides={"training.epochs": "1", "encoder.width": "16", "encoder.depth": "2"},
)  # fmt: skip
METHODS = ["bag-of-atoms", "bag-of-motifs", "untrained", "motif", "motif-plain-hinge"]
LEARNED = METHODS[2:]


def ask(output: Path, **changed: Any) -> tuple[list[str], list[str]]:
    told: dict[str, Any] = {"size": "tiny", "splits": [*TASKS], "methods": METHODS, "workers": 0}
    return motif.PLAN.run(Asked(output, **told | changed), lambda text: None, lambda name, share: None)


@pytest.fixture(scope="module")
def patched(data_dir: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        few = {name: Question(name, lambda make=one.make: make()[::16]) for name, one in QUESTIONS.items()}
        patch.setattr(motif_tasks, "QUESTIONS", few)
        patch.setitem(motif.SIZES, "tiny", TINY)
        yield patch


@pytest.fixture(scope="module")
def done(patched: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    output = tmp_path_factory.mktemp("motif")
    lines, failed = ask(output)
    assert failed == []
    return output, lines


def numbers(output: Path, task: str, method: str, seed: int = 0) -> dict[str, Any]:
    row: dict[str, Any] = json.loads((output / task / f"{method}-{seed}.json").read_text())
    assert (row["study"], row["task"], row["method"], row["seed"]) == ("motif", task, method, seed)
    told: dict[str, Any] = row["numbers"]
    return told


def test_every_row_is_there_once(done: tuple[Path, list[str]]) -> None:
    output, _ = done
    found = {str(path.relative_to(output)) for path in output.glob("*/*.json") if path.parent.name in TASKS}
    wanted = {f"{task}/{name}-0.json" for task in TASKS for name in TASKS[task].free}
    wanted |= {f"{task}/{name}-{seed}.json" for task in TASKS for name in LEARNED for seed in (0, 1)}
    assert found == wanted


def test_the_bag_of_atoms_fulfils_the_equation_and_knows_no_assembly(done: tuple[Path, list[str]]) -> None:
    told = numbers(done[0], "diagnosis", "bag-of-atoms")
    assert (told["residual"], told["assembly"]) == (0, 0)
    assert numbers(done[0], "spread", "bag-of-atoms")["ratio"] == 0
    asked = numbers(done[0], "isomers", "bag-of-atoms")
    assert (asked["amide"], asked["ring"]) == ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])


def test_a_bag_of_motifs_knows_rings_and_no_assembly(done: tuple[Path, list[str]]) -> None:
    asked = numbers(done[0], "isomers", "bag-of-motifs")
    assert asked["amide"] == [0.5, 0.5, 0.5]
    assert asked["ring"][0] > 0.9


def test_a_network_has_a_residual_and_a_seed_of_its_own(done: tuple[Path, list[str]]) -> None:
    one, two = (numbers(done[0], "diagnosis", "untrained", seed)["residual"] for seed in (0, 1))
    assert min(one, two) > 1e-3
    assert one != two
    assert numbers(done[0], "diagnosis", "motif")["residual"] != one  # it has learned


def test_the_untrained_network_has_taken_no_step(done: tuple[Path, list[str]]) -> None:
    rows = {name: json.loads((done[0] / "diagnosis" / f"{name}-0.json").read_text()) for name in LEARNED}
    assert (rows["untrained"]["steps"], rows["motif"]["steps"] > 0) == (0, True)
    assert rows["motif"]["corpus"]["rows"] == 60
    assert rows["motif"]["molecules"] == 60
    assert set(rows["motif-plain-hinge"]["overrides"]) > set(TINY.overrides)


def test_what_is_compared_without_projection_is_the_vector_itself(done: tuple[Path, list[str]]) -> None:
    told = numbers(done[0], "diagnosis", "motif-plain-hinge")
    assert told["motifs_alone"] == told["with_bonds"] == pytest.approx(told["residual"], rel=1e-4)
    assert "amide_compared" not in numbers(done[0], "isomers", "motif-plain-hinge")
    assert "amide_compared" in numbers(done[0], "isomers", "motif")


def test_what_is_there_is_not_made_again(done: tuple[Path, list[str]]) -> None:
    output, lines = done
    (output / "spread" / "motif-0.json").unlink()
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert ask(output)[0] == lines  # the row that was lost comes out the same
    assert all(path.read_bytes() == data for path, data in before.items() if path.suffix != ".html")


def test_the_page_is_whole(done: tuple[Path, list[str]]) -> None:
    output, lines = done
    page = unescape((output / "report.html").read_text())
    for text in (*motif_page.TITLES.values(), "Claims", "What each part adds", "0.9216", "molr-motifs"):
        assert text in page
    assert any(line.startswith("Isomers of the same parts") for line in lines)
    story = Story.load(output, {name: MODELS[name].about for name in LEARNED})
    table = story.differences()
    assert table is not None
    (row,) = [row for row in table.rows if row[0] == "untrained"]
    fresh, own = (
        sum(numbers(output, "diagnosis", name, seed)["residual"] for seed in (0, 1)) for name in ("untrained", "motif")
    )
    assert row[1].value == pytest.approx((fresh - own) / 2)  # type: ignore[union-attr]
    assert row[-1] == 2


def test_wrong_words_teach(patched: object, tmp_path: Path) -> None:
    for changed, says in (
        ({"splits": ["isomer"]}, "isomers"),
        ({"methods": ["motiv"]}, "motif"),
        ({"target": "gap"}, "motif has no target"),
        ({"size": "huge"}, "size"),
    ):
        with pytest.raises(UserError, match=says):
            ask(tmp_path, **changed)
    with pytest.raises(UserError, match="holds no rows of the study"):
        ask(tmp_path, measure=False)


def test_probes_are_rows_of_a_benchmark(patched: object, done: tuple[Path, list[str]]) -> None:
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "run", lambda plan, settings, say, progress: seen.append((plan, settings)) or ["no"])
        assert ask(done[0], splits=["probes"])[1] == ["no"]
    ((plan, settings),) = seen
    assert list(plan.methods[:2]) == ["ecfp-linear", "atom-counts"]
    assert len(plan.methods) == 2 + 2 * len(LEARNED)
    assert (plan.data, plan.repeats) == (("bbbp", "bace", "tox21", "clintox"), 2)
    assert settings.output == str(done[0] / "probes")
    assert encoder_of("linear head on motif-not-bonded-1") == ("motif-not-bonded", 1)
    assert encoder_of("ecfp-linear") == ("ecfp-linear", None)


def test_no_molecule_is_learned_from_and_diagnosed(data_dir: Path) -> None:
    size = Reach("", None, 0, 1)
    learned, held = motif.learned(size), motif.held(size)
    assert len(held) == HELD
    assert not set(learned) & set(held)
    assert len(motif.learned(motif.SIZES["default"])) == 9_000


def told(task: str, number: str, **values: list[float]) -> dict[str, dict[str, Measured]]:
    made = {}
    for method, some in values.items():
        name = method.replace("_", "-")
        made[name] = Measured(name, {number: dict(enumerate(some))}, {number: (0.4, 0.9)})
    return {task: made}


def test_verdicts_by_hand() -> None:
    assert side([1.0, 1.1, 0.9]) == "above"
    assert side([-1.0, -1.1]) == "below"
    assert side([-1.0, 1.0]) == "not settled"
    assert side([1.0]) == "one seed, no test"
    words = {(True, True): "collapsed", (False, True): "told by chance", (False, False): "residual did not fall"}
    assert {key: collapsed(*key, less=True) for key in words} == words
    assert (collapsed(True, False, less=True), collapsed(True, False, less=False)) == ("in part", "yes")
    low = told("diagnosis", "residual", motif=[0.1], untrained=[0.3])
    for amides, says in (
        ([0.55], "collapsed"),
        ([0.51, 0.48, 0.5], "collapsed"),
        ([0.9, 0.91, 0.9], "yes"),
        ([0.7, 0.71, 0.7], "in part"),
        ([0.8, 0.9], "yes"),  # two seeds have a wide interval, and are no collapse
    ):
        fresh = [0.9, 0.9, 0.91][: len(amides)]
        row = collapse(low | told("isomers", "amide", motif=amides, untrained=fresh), "motif")
        assert row is not None
        assert row[-1] == f"{says}, by one seed"
    assert collapse(low, "motif") is None
    one, fresh_one = (Measured("", {"amide": {0: value}}, {"amide": ends}) for value, ends in
                      ((0.7, (0.6, 0.8)), (0.9, (0.85, 0.95))))  # fmt: skip
    assert (lost(one, fresh_one), lost(fresh_one, one)) == (True, False)
    row = one_vector(told("spread", "ratio", motif=[0.2, 0.21], untrained=[0.4, 0.41]))
    assert row is not None
    assert row[-1] == "nearer than untrained"
    row = need(told("isomers", "amide", motif=[0.9, 0.9, 0.91], motif_not_bonded=[0.7, 0.71, 0.7]), "motif-not-bonded")
    assert row is not None
    assert row[-1] == "yes"
    one = Measured("motif", {"with_bonds": {0: 0.1, 1: 0.1}, "motifs_alone": {0: 0.2, 1: 0.21}}, {})
    row = bonds({"diagnosis": {"motif": one}})
    assert row is not None
    assert row[-1] == "yes"
    assert verdicts({}, [], [*MODELS]) == []


def line(method: str, mean: float, verdict: str = "") -> Line:
    pair = Pair(20, 0.0, None, None, 0.0, None, None, None, None, verdict, 0.5, ()) if verdict else None
    return Line(method, mean, 0.0, 20, 20, None, None, None, pair)


@pytest.mark.parametrize(
    ("verdicts_of_seeds", "says"),
    [(("better", "better"), "yes"), (("worse", "worse"), "no"), (("worse", "not settled"), "not settled")],
)
def test_a_property_is_judged_over_splits(verdicts_of_seeds: tuple[str, str], says: str) -> None:
    lines = [line("ecfp-linear", 0.9), line("linear head on untrained-0", 0.7, "worse")]
    lines += [line(f"linear head on motif-{k}", 0.8 + k / 10, one) for k, one in enumerate(verdicts_of_seeds)]
    setting = Setting("R", "random", "train")
    one = Standing(setting, "bbbp", "", "roc-auc", True, "ecfp-linear", "", None, {}, tuple(lines), ())
    told = property_of(one)
    assert told is not None
    assert told[-1] == says
    assert told[2] == "roc-auc 0.850 ± 0.071, ecfp-linear 0.900, untrained 0.700"
    assert frozen(one)["motif"].values["score"] == {0: 0.8, 1: 0.9}
    assert property_of(replace(one, lines=tuple(lines[:2]))) is None


def test_names_and_columns_are_known_to_their_tasks(done: tuple[Path, list[str]]) -> None:
    assert {name for task in TASKS.values() for name in task.free} == set(FREE_ROWS)
    assert not set(FREE_ROWS) & set(MODELS)
    assert set(motif_page.TITLES) == set(motif_page.ABOUT) == set(COLUMNS) == set(TASKS)
    for task, columns in COLUMNS.items():
        assert set(columns) <= set(numbers(done[0], task, "motif"))
    assert all(number in COLUMNS[task] for task, number, _ in DIFFERENCES)
    assert all(len(row) == len(PRINTED.header) for row in PRINTED.rows)


def test_rows_of_another_size_are_not_mixed(tmp_path: Path) -> None:
    small = Rows("motif", tmp_path, "small")
    small.keep("diagnosis", "untrained", 0, lambda: {"residual": 0.1}, lambda name, share: None)
    assert json.loads(small.place("diagnosis", "untrained", 0).read_text())["size"] == "small"
    with pytest.raises(UserError, match="was measured at the size 'small', not 'default'"):
        Rows("motif", tmp_path, "default").keep("diagnosis", "untrained", 0, dict, lambda name, share: None)
