"""The study from end to end on a few made reactions: encoders once, rows once, a page of all of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rdkit.Chem import MolFromSmiles, MolToSmiles
from scipy.sparse import csr_array

from tetramer.benchmark import protocol, reaction_sets
from tetramer.benchmark.cells import Spread
from tetramer.benchmark.edit_distance import EditPairs
from tetramer.errors import UserError
from tetramer.studies import Asked, molr, molr_page, molr_tasks
from tetramer.studies.base import Reach, short
from tetramer.studies.finished import Measured, interval
from tetramer.studies.molr import MODELS
from tetramer.studies.molr_page import PRINTED, SAID, Story
from tetramer.studies.molr_tasks import FREE_ROWS, TASKS

ACIDS = [f"{'C' * size}C(=O)O" for size in range(1, 9)] + [f"{'C' * size}c1ccccc1C(=O)O" for size in range(1, 5)]
AMINES = ["CN", "CCN", "CC(C)N", "NCCO", "NC1CC1", "NCc1ccccc1"]
REACTIONS = [f"{acid}.{amine}>>{acid[:-1]}{amine[::-1] if amine in ('CN', 'CCN') else 'N' + 'C'}"
             for acid in ACIDS for amine in AMINES]  # fmt: skip
TINY = Reach("for the test", None, 0, 2, repeats=2, overrides={"training.epochs": "1", "encoder.width": "16"})
METHODS = [
    "atom-counts",
    "count-distance",
    "re-ranker",
    "counts-svr",
    "counts-mean",
    "random-network",
    "molr",
    "molr-motifs",
]
PARTS = ["validation", "products", "products-anew", "reactants", "questions", "edit-distance"]


def pairs(limits: object = None) -> EditPairs:
    """All pairs of 20 chains, as far apart as their lengths."""
    smiles = ["C" * size for size in range(1, 21)]
    left, right = np.divmod(np.random.default_rng(0).permutation(400), 20)
    counts = csr_array(np.arange(1.0, 21.0)[:, None])
    return EditPairs(smiles, left, right, np.abs(left - right).astype(float), counts, counts.toarray())


def ask(output: Path, **changed: object) -> tuple[list[str], list[str]]:
    told: dict[str, object] = {"size": "tiny", "splits": PARTS, "methods": METHODS, "workers": 0}
    asked = Asked(output, **told | changed)  # type: ignore[arg-type]
    return molr.PLAN.run(asked, lambda text: None, lambda name, share: None)


@pytest.fixture(scope="module")
def patched() -> object:
    with pytest.MonkeyPatch.context() as patch:
        for module in (reaction_sets, molr):
            patch.setattr(module, "part_texts", lambda name, parts: REACTIONS)
        patch.setattr(molr_tasks, "edit_pairs", pairs)
        patch.setitem(molr.SIZES, "tiny", TINY)
        yield patch


@pytest.fixture(scope="module")
def done(patched: object, tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> tuple[Path, list[str]]:
    output = tmp_path_factory.mktemp("molr")
    lines, failed = ask(output)
    assert failed == []
    return output, lines


def test_every_row_is_there_once(done: tuple[Path, list[str]]) -> None:
    output, _ = done
    found = {str(path.relative_to(output)) for path in output.glob("*/*.json") if path.parent.name in TASKS}
    wanted = {f"{task}/{name}-0.json" for task in PARTS for name in TASKS[task].free if name in METHODS}
    wanted |= {f"{task}/{name}-{seed}.json" for task in PARTS for name in ("molr", "molr-motifs") for seed in (0, 1)}
    assert found == wanted
    row = json.loads((output / "products" / "molr-1.json").read_text())
    assert (row["task"], row["method"], row["seed"], row["queries"]) == ("products", "molr", 1, len(REACTIONS))
    assert 0 < row["pools"]["full"]["mrr"][0] <= 1
    assert row["corpus"]["rows"] == len(REACTIONS) - len(REACTIONS) // 10  # what validates is not learned from
    assert {*row["training_seconds"]} == {"wall", "cpu"}
    anew = json.loads((output / "products-anew" / "molr-0.json").read_text())
    assert anew["lists"] == len(REACTIONS) // 10  # and teaches the re-ranker


def test_products_that_were_learned_from_are_left_out_of_the_last_column(done: tuple[Path, list[str]]) -> None:
    made = [MolToSmiles(MolFromSmiles(text.partition(">>")[2])) for text in REACTIONS]
    learned = {made[row] for row in reaction_sets.drawn(len(REACTIONS)).train}
    unseen = sum(product not in learned for product in made)
    assert 0 < unseen < len(REACTIONS)
    for task in ("products", "reactants"):
        row = json.loads((done[0] / task / "count-distance-0.json").read_text())
        assert row["pools"]["unseen"]["queries"] == unseen
        assert row["pools"]["full"]["queries"] == len(REACTIONS)
    questions = json.loads((done[0] / "questions" / "count-distance-0.json").read_text())
    assert set(questions["pools"]) == {"choices"}


def test_what_is_there_is_not_made_again(done: tuple[Path, list[str]]) -> None:
    output, lines = done
    (output / "products" / "molr-0.json").unlink()
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert ask(output)[0] == lines  # the row that was lost comes out the same
    assert all(path.read_bytes() == data for path, data in before.items() if path.suffix != ".html")


def test_the_page_shows_tables_and_what_each_part_adds(done: tuple[Path, list[str]]) -> None:
    output, lines = done
    page = (output / "report.html").read_text()
    for title in molr_page.TITLES.values():
        assert title in page
    assert "What each part adds" in page
    told = json.loads((output / "report.json").read_text())
    assert {"Methods", "What each part adds", *molr_page.TITLES.values()} == set(told["tables"])
    assert told["frozen"] == []
    assert "MolR-TAG" not in page  # printed numbers are those of 40,000 reactions
    assert any(line.startswith("Products, test part") for line in lines)
    differences = Story.load(output, {"molr": "", "molr-motifs": ""}).differences()
    assert differences is not None
    wanted = [molr_page.TITLES["reactants"], "molr-motifs minus molr", "MRR"]
    (line,) = [row for row in differences.rows if row[:3] == wanted]
    told = [json.loads((output / "reactants" / f"{name}-{seed}.json").read_text())["pools"]["full"]["mrr"][0]
            for name in ("molr-motifs", "molr") for seed in (0, 1)]  # fmt: skip
    assert line[3].value == pytest.approx((told[0] + told[1] - told[2] - told[3]) / 2)  # type: ignore[union-attr]
    assert line[4] == 2


def test_an_encoder_of_other_settings_is_not_taken(done: tuple[Path, list[str]]) -> None:
    card = done[0] / "encoders" / "molr-0" / "card.json"
    told = json.loads(card.read_text())
    row = done[0] / "products" / "molr-0.json"
    kept = row.read_text()
    assert json.loads(kept)["encoder_sha256"] == told["sha256"]
    row.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(molr.MODELS, "molr", replace(molr.MODELS["molr"], overrides={"objective.survival": "0"}))
        with pytest.raises(UserError, match="was made with"):
            ask(done[0], splits=["products"], methods=["molr"])
    row.write_text(kept)


def test_an_encoder_of_another_corpus_is_not_taken(patched: object, done: tuple[Path, list[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(molr, "part_texts", lambda name, parts: REACTIONS[::-1])  # as many, others to learn from
        for part in ("products", "probes"):
            (done[0] / "products" / "molr-0.json").rename(done[0] / "kept")
            with pytest.raises(UserError, match=r"from 65 rows \([0-9a-f]{12}\), not with .* from 65 rows"):
                ask(done[0], splits=[part], methods=["molr"])
            (done[0] / "kept").rename(done[0] / "products" / "molr-0.json")


def test_one_target_stands_beside_the_printed_ones() -> None:
    row = {"data": "tox21", "method": "ecfp-linear"}
    story = Story([], [row | {"each": {"SR-p53": x, "NR-AR": None}} for x in (0.8, 0.9)], {})
    (table,) = story.beside("tox21")
    assert [row[0] for row in table.rows[:2]] == ["ecfp-linear", "MolR-TAG, printed"]
    assert (table.rows[0][1].value, table.rows[1][1].value) == (pytest.approx(0.85), 0.82)  # type: ignore[union-attr]
    (whole,) = story.beside("bbbp")
    assert whole.rows[0] == ["MolR-TAG, printed", Spread(0.895, error=0.031)]
    assert len(whole.rows) == 5
    assert story.beside("hiv") == []


def test_steps_and_minutes_stand_beside_a_method(done: tuple[Path, list[str]]) -> None:
    """A row of an older version tells no minutes, and that its loss was another."""
    told = [json.loads((done[0] / "products" / f"molr-{seed}.json").read_text()) for seed in (0, 1)]
    seconds = [row["training_seconds"]["cpu"] for row in told]
    ((name, _, steps, minutes),) = Story(told, [], {"molr": ""}).methods.rows
    assert (name, steps) == ("molr", told[0]["steps"])
    assert getattr(minutes, "value", minutes) == pytest.approx(sum(seconds) / 120)
    assert Story(told, [], {"molr": ""}).said == SAID
    for row in told:
        del row["training_seconds"], row["size"]
    story = Story(told, [], {"molr": ""})
    assert story.methods.rows[0][3] is None
    assert story.said[-1].startswith("molr: learned among others that missed most isomers")


def test_every_printed_row_has_a_number(done: tuple[Path, list[str]]) -> None:
    whole = [json.loads(path.read_text()) | {"reactions": 40_000} for path in sorted(done[0].glob("*/count*-0.json"))]
    whole = [row | {"pairs": 10_000} if "rmse" in row else row for row in whole]
    story = Story(whole, [], {})
    assert set(PRINTED) <= set(story.tasks)
    for task, printed in PRINTED.items():
        rows = {str(row[0]): row[1:] for row in story.table(task).rows if str(row[0]).endswith(", printed")}
        assert [*rows] == [f"{name}, printed" for name in printed]
        assert [name for name, cells in rows.items() if not any(cells)] == []
    assert story.table("questions").rows[-3][:4] == ["MolR-GCN, printed", None, 0.625, None]


def test_a_perfect_vector_measures_edit_distance(done: tuple[Path, list[str]]) -> None:
    errors = {
        name: np.mean(json.loads((done[0] / "edit-distance" / f"{name}-0.json").read_text())["rmse"]["pair"])
        for name in ("counts-svr", "counts-mean", "random-network")
    }
    assert errors["counts-svr"] < 0.2 * errors["counts-mean"]  # the length tells the distance
    assert errors["random-network"] == errors["counts-svr"]  # which stands for these vectors here


def test_wrong_words_teach(patched: object, tmp_path: Path) -> None:
    for changed, says in (
        ({"splits": ["product"]}, "product"),
        ({"methods": ["morl"]}, "molr"),
        ({"target": "gap"}, "has no target"),
        ({"seeds": 0}, "--seeds 0 measures nothing"),
        ({"splits": ["questions"], "methods": ["counts-svr"]}, "Nothing of questions is asked of counts-svr"),
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
    assert plan.methods[0] == "ecfp-linear"
    assert len(plan.methods) == 1 + 2 * 2
    assert (plan.data, plan.splits, plan.repeats) == (("bbbp", "bace", "tox21", "clintox"), ("random",), 2)
    assert settings.output == str(done[0] / "probes")
    assert short(plan.methods[1]) == "linear head on molr-0"
    assert short("ecfp-linear") == "ecfp-linear"


def test_cells_and_intervals_by_hand() -> None:
    one = Measured("molr", {"mrr": {0: 0.5, 1: 0.7}, "mr": {0: 3.0}}, {"mr": (2.0, 5.0)})
    assert (one.cell("mrr").value, round(one.cell("mrr").error, 4), one.seeds) == (0.6, 0.1414, 2)  # type: ignore[union-attr]
    assert (one.cell("mr").low, one.cell("mr").high, one.cell("hit1")) == (2.0, 5.0, None)  # type: ignore[union-attr]
    told = interval([0.1, 0.2, 0.3])
    assert (round(told.value, 6), round(told.low, 4), round(told.high, 4)) == (0.2, -0.0484, 0.4484)  # type: ignore[union-attr]
    assert interval([0.1]) == 0.1


def test_names_of_rows_are_known_to_their_tasks() -> None:
    assert {name for task in TASKS.values() for name in task.free} == set(FREE_ROWS)
    assert not set(FREE_ROWS) & set(MODELS)
    assert {*molr_page.COMPARED, *molr_page.COMPARED.values()} == set(MODELS)
    assert set(molr_page.TITLES) == set(molr_page.ABOUT) == set(TASKS)
