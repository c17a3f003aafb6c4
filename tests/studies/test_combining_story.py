"""The page of "combining modalities" from made rows: pairs of seeds, refusals, learning curves, properties, budgets."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tetramer.benchmark import rules
from tetramer.benchmark.row import Row, Settings
from tetramer.datasets.writing import write_table, write_whole
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.recipes import RECIPES, resolve, takes
from tetramer.space.claims import Claim
from tetramer.studies import combining_modalities, combining_page, qm9
from tetramer.studies.base import Asked, Size
from tetramer.studies.combining_claims import Spaces, Verdict, over
from tetramer.studies.combining_modalities import FREE, MODELS, SIZES, budget, improved, methods
from tetramer.studies.combining_rows import FIT_ROWS, Measured, Rows
from tetramer.studies.combining_story import Story
from tetramer.training import TrainConfig, epochs_of
from tetramer.views import read
from tetramer.views.fingerprint import FingerprintFeatures


def put(
    output: Path, method: str, error: float | None, seed: int = 0, split: str = "random", target: str = "g298",
    given: str = FIT_ROWS, refused: str | None = None, unanswered: int = 0,
) -> None:  # fmt: skip
    """A finished row, as a benchmark writes it."""
    row = Row(method, "", split, seed, given)
    count = int(given.partition(":")[2] or 90)
    told = {
        "method": method, "data": f"qm9-{target}", "split": split, "class": split[0], "seed": seed, "fit_rows": given,
        "scores": {"mae": error}, "refused": refused, "unanswered": unanswered,
        "config_sha256": "", "data_sha256": "d" * 64,
        "split_sha256": f"{seed}" * 64, "fitted_on": count, "tested_on": 10, "parameters": 5,
        "cost": {"seconds": 60.0, "machine": "here", "versions": {"numpy": "2"}},
    }  # fmt: skip
    write_whole(Settings(str(output)).place(row, f"qm9-{target}"), json.dumps(told).encode())


def story(output: Path, target: str = "g298", given: str = FIT_ROWS) -> Story:
    return Story(Rows.load(output, output / "data" / f"qm9-{target}.parquet", target, given), MODELS, FREE)


def drawn(output: Path, target: str = "g298", given: str = FIT_ROWS) -> str:
    combining_page.draw(output, output / "data" / f"qm9-{target}.parquet", target, MODELS, FREE, given)
    return (output / "report.html").read_text()


def test_fusions_are_judged_by_pairs_of_seeds_and_say_how_many(tmp_path: Path) -> None:
    """A constant gain over seeds that differ widely is settled; a gain that changes its sign is not."""
    for seed, base in enumerate((1.0, 2.0, 4.0)):
        put(tmp_path, "graph", base, seed)
        put(tmp_path, "conformer", base + 1, seed)
        put(tmp_path, "graph+conformer", base - 0.1 - 0.001 * seed, seed)
        put(tmp_path, "graph+conformer-mean", base + (-1) ** seed, seed)
        put(tmp_path, "graph+conformer-gated", base + 0.1 + 0.001 * seed, seed)
    put(tmp_path, "graph+conformer-concat", 0.5, 0)
    told = {one.fusion.method: one for one in story(tmp_path).fusions("random")}
    assert {name: one.verdict for name, one in told.items()} == {
        "graph+conformer": "better",
        "graph+conformer-mean": "worse on the mean, not settled",
        "graph+conformer-gated": "worse",
        "graph+conformer-concat": "better, by one seed",
    }
    assert told["graph+conformer-concat"].gaps == [-0.5]
    assert {one.best.method for one in told.values()} == {"graph"}


def test_networks_and_ridges_are_compared_on_seeds_that_both_have(tmp_path: Path) -> None:
    """Seed 1 is a hard split: the network has only that one, and is below the ridge there."""
    put(tmp_path, "energy-2d", 1.0, 0)
    put(tmp_path, "energy-2d", 5.0, 1)
    put(tmp_path, "graph", 4.0, 1)
    put(tmp_path, "fingerprint", 1.5, 0)
    put(tmp_path, "energy-2d", 1.0, 0, "scaffold")  # one split, however many seeds a network has
    put(tmp_path, "graph", 0.5, 0, "scaffold")
    put(tmp_path, "graph", 2.0, 1, "scaffold")
    assert story(tmp_path).above("random") == ["Above the 2D ridge (3 eV): FP-MLP, ours."]
    assert story(tmp_path).above("scaffold") == ["Above the 2D ridge (1 eV): MPNN, ours."]


def test_a_refused_row_says_why_and_how_many_seeds_are_left(tmp_path: Path) -> None:
    put(tmp_path, "study001-mpnn-rnn", 2.0, 0)
    put(tmp_path, "study001-mpnn-rnn", None, 1, refused="Training diverged at step 7.")
    put(tmp_path, "study001-rnn", None, 0, refused="There is no LSTM.")
    put(tmp_path, "study001-rnn", None, 0, "scaffold", refused="There is no LSTM.")  # nothing to draw there
    put(tmp_path, "graph", 1.0, 0)
    page = drawn(tmp_path)
    assert "1 of 2" in page
    assert "No number of MPNN + RNN, as published, measured, seed 1: Training diverged at step 7." in page
    assert "No number of LSTM, as published, measured, seed 0: There is no LSTM." in page
    assert any("refused" in line and "LSTM" in line for line in story(tmp_path).lines())


def test_an_error_that_leaves_molecules_out_says_so(tmp_path: Path) -> None:
    put(tmp_path, "graph", 1.0, unanswered=3)
    put(tmp_path, "conformer", 1.0)
    page = drawn(tmp_path)
    assert "The error of MPNN, ours, seed 0, leaves out 3 molecules that it did not answer." in page
    assert page.count("leaves out") == 1


def test_printed_numbers_stand_beside_their_target_alone_and_name_their_split(tmp_path: Path) -> None:
    for target in ("g298", "mu"):
        for split in ("random", "scaffold"):
            put(tmp_path, "study001-mpnn", 1.0, 0, split, target)
    page = drawn(tmp_path)
    assert page.count("printed (scaffold split), MAE / σ") == 1
    assert page.count("printed, MAE / σ") == 1
    other = drawn(tmp_path, "mu")
    assert "printed" not in other
    assert "MAE, D" in other


def test_the_learning_curve_and_the_properties_have_sections_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, "graph", 0.5, target="gap")
    assert "Learning curve" not in drawn(tmp_path, "gap")
    put(tmp_path, "graph", 2.0, target="gap", given=f"{FIT_ROWS}:20")
    put(tmp_path, "conformer", 0.25, target="gap")
    put(tmp_path, "graph+conformer", 0.125, target="gap")
    put(tmp_path, "graph", 0.75, target="mu")
    put(tmp_path, "graph", 0.875, target="homo", given=f"{FIT_ROWS}:90")  # a larger table, cut to as many rows
    put(tmp_path, "graph", 0.625, target="lumo", given=f"{FIT_ROWS}:91")
    page = drawn(tmp_path, "gap")
    curve = page[page.index("<h2>Learning curve") :]
    assert curve.index("20 rows") < curve.index("90 rows")
    table = page[page.index("<h2>Properties") :]
    assert "0.625" not in table
    found = [table.index(words) for words in ("0.750", "0.875", "0.500", "0.250", "0.125")]  # mu, homo, then gap
    assert found == sorted(found)
    few = drawn(tmp_path, "gap", f"{FIT_ROWS}:20")
    assert "train:20" in few
    assert "<h2>Properties" not in few
    with pytest.raises(UserError, match="holds no rows"):
        drawn(tmp_path, "mu", f"{FIT_ROWS}:20")


def test_late_weights_rest_on_rows_that_all_members_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing answer on the valid part costs its row; one on the test part leaves no error to compare."""
    truth = np.arange(40.0)
    held = {"graph": truth[:20] + 1, "conformer": truth[:20] - 1}
    tested = {"graph": truth[20:] + 1, "conformer": truth[20:] - 1}
    held["graph"][3] = np.nan

    def kept(rows: Rows, method: str, split: str, seed: int) -> dict[str, np.ndarray]:
        return {
            "rows": np.arange(20, 40), "values": tested[method][:, None, None],
            "held": np.arange(20), "held_values": held[method][:, None, None],
        }  # fmt: skip

    def late() -> Measured | None:
        rows = story(tmp_path).rows
        vars(rows).update(table=pa.table({}), values=truth)
        return rows.late(["graph", "conformer"], "random")

    for method in held:
        put(tmp_path, method, 1.0)
    monkeypatch.setattr(Rows, "kept", kept)
    told = late()
    assert told is not None
    assert told.shares == pytest.approx({"graph": 0.5, "conformer": 0.5}, abs=1e-3)
    assert told.errors[0] == pytest.approx(0.0, abs=1e-6)
    tested["conformer"][0] = np.nan
    assert late() is None


def test_late_fusions_of_fewer_rows_have_a_file_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, "graph", 1.0)
    put(tmp_path, "graph", 1.0, given=f"{FIT_ROWS}:20")
    whole, few = (story(tmp_path, given=given).rows.file("late").name for given in (FIT_ROWS, f"{FIT_ROWS}:20"))
    assert (whole, few) == ("late.json", "late-20.json")


def test_units_are_those_of_the_published_columns() -> None:
    assert {name: qm9.unit(name) for name in qm9.USUAL} == dict.fromkeys(qm9.USUAL, "eV") | {
        "mu": "D", "alpha": "bohr³", "r2": "bohr²", "cv": "cal/mol/K",
    }  # fmt: skip
    assert qm9.unit("g4mp2") == "eV"
    assert qm9.unit("u0_atom") == "kcal/mol"


def test_the_usual_properties_are_measured_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def one(asked: Asked, target: str, *_: object) -> tuple[list[str], list[str]]:
        seen.append(target)
        return [f"page of {target}", "as many", "the page"], ["a row of gap"] * (target == "gap")

    monkeypatch.setattr(combining_modalities, "of_property", one)
    told = combining_modalities.run(Asked(tmp_path, target="usual"), print, lambda name, share: None)
    assert seen == list(qm9.USUAL)
    rows = [line for target in qm9.USUAL for line in (f"page of {target}", "as many")]
    assert told == ([*rows, "the page"], ["a row of gap"])


@pytest.mark.parametrize("learned", [900, 17_374, 20_300, 81_000, 110_000])
def test_no_network_sees_much_more_than_the_size_allows(learned: int) -> None:
    """The rows of g298 keep the settings that they were measured with; those of larger tables have fewer epochs."""
    told = dict(budget(SIZES["default"], learned))
    assert told.get("training.epochs") == {81_000: "20", 110_000: "16", 20_300: "80"}.get(learned)
    for epochs in (50, 100):
        config = TrainConfig(epochs=min(epochs, int(told.get("training.epochs", epochs))), visits=400_000)
        assert epochs_of(config, learned) * learned <= 500_000
    assert told["training.plateau"] == {900: "5", 17_374: "1", 20_300: "1", 81_000: "1", 110_000: "1"}[learned]
    assert told["head.loss"] == "mae"
    assert budget(SIZES["paper"], learned) == (("training.visits", "0"), ("head.loss", "mae"))


def test_all_of_ours_average_their_weights() -> None:
    """So that a fusion and its members differ by what they look at."""
    for model in MODELS:
        if model.ours:
            made = resolve(model.ours, {key: text for key, text in improved([model.ours]) if takes(model.ours, key)})
            assert {config["training"]["ema"] for config in made.networks.values()} == {0.999}, model.name
    told = {key: text for key, text in improved(methods()) if takes("study001-mpnn-fp", key)}
    assert resolve("study001-mpnn-fp", told) == resolve("study001-mpnn-fp", {})


def test_the_lstm_reads_what_no_split_tests_where_other_molecules_are_too_few(
    smiles: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the whole of QM9, where every molecule has the property."""
    rare = (
        "C1CC1C C1CCC1C C1CCCC1C C1CCCCCC1C c1ccsc1C c1cnccn1 c1ccc2ccccc2c1 C1CO1 C1CN1C c1cc[nH]c1 C1COCCO1 C1CCNCC1"
    )
    smiles = [*smiles, *rare.split()]
    data = tmp_path / "data" / "qm9-g298.parquet"
    write_table(pa.table({"smiles": smiles, "g298": np.arange(92.0)}), data)
    monkeypatch.setattr(qm9, "others", lambda target, rows, count: ["CCCCCCCCC"])
    asked, settings = Asked(tmp_path), Settings(str(tmp_path), ("g298",), workers=1)
    texts = combining_modalities.corpus(data, asked, settings, Size("", None, 0, 2, 1000))
    case = settings.case(str(data))
    splits = [rules.make(case, rule, seed) for rule, seed in (("scaffold", 0), ("random", 0), ("random", 1))]
    tested = {case.reading.smiles[row] for split in splits for row in split.test.tolist()}
    assert texts[0] == "CCCCCCCCC"
    assert len(texts) == 1 + 92 - len(tested)
    assert not tested & set(texts)
    assert len(combining_modalities.corpus(data, asked, settings, Size("", None, 0, 2, 20))) == 20


def test_the_lstm_is_made_only_when_rows_that_begin_with_it_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are there, as in a clone without the LSTM, ask for none; nor do rows of other methods."""
    done: list[str] = []
    monkeypatch.setattr(combining_modalities, "pretrained", lambda *_: done.append("pretrained"))
    monkeypatch.setattr(combining_modalities, "corpus", lambda *_: ["C"])
    monkeypatch.setattr(combining_modalities.protocol, "run", lambda plan, *_: done.extend(plan.methods) or [])
    write_table(pa.table({"smiles": ["C"], "g298": [1.0]}), tmp_path / "data" / "qm9-g298.parquet")
    put(tmp_path, "graph", 1.0)
    put(tmp_path, "study001-rnn", 1.0)

    def run(*names: str) -> list[str]:
        done.clear()
        asked = Asked(tmp_path, splits=["random"], methods=names, seeds=1)
        combining_modalities.run(asked, lambda text: None, lambda name, share: None)
        return list(done)

    assert run("graph", "study001-rnn") == ["graph"]
    assert run("study001-mpnn-rnn", "graph") == ["graph", "pretrained"]


def test_a_verdict_says_on_how_many_seeds_it_rests_and_whether_they_agree() -> None:
    def verdict(space: str, value: float, says: str) -> Verdict:
        return Verdict("a claim", "a number", space, Claim("", "", value, value - 1, value + 1, 0.0, 9), 0.5, says)

    told = {
        one.space: one
        for one in over(
            [
                [verdict("one", 1.0, "holds"), verdict("two", 1.0, "holds")],
                [verdict("two", 3.0, "not settled")],
                [verdict("two", 5.0, "holds")],
            ]
        )
    }
    assert (told["one"].seeds, told["one"].verdict) == (1, "holds")
    assert (told["two"].seeds, told["two"].verdict) == (3, "seeds disagree: holds 2, not settled 1")
    assert told["one"].cell.low == 0.0
    assert (told["two"].cell.value, told["two"].cell.error) == (3.0, 2.0)


def test_unrelated_spaces_are_not_alike_and_one_without_directions_is_left_out(smiles: list[str]) -> None:
    """Gaussian vectors of more dimensions than molecules, whose biased CKA is near 1."""
    rng = np.random.default_rng(0)
    features = read(smiles, ["fingerprint"], limits=Limits(0)).features["fingerprint"]
    assert isinstance(features, FingerprintFeatures)
    networks = {"first": rng.normal(size=(80, 512)), "second": rng.normal(size=(80, 256)), "zeros": np.zeros((80, 8))}
    spaces = Spaces.of(smiles, np.arange(80.0), networks | {"constant": np.ones((80, 8))}, features)
    assert list(spaces.vectors) == ["fingerprint itself", "first", "second"]
    cka, shared = spaces.alike()
    assert abs(cka[1, 2]) < 0.1
    assert cka[0, 0] == shared[1, 1] == 1
    counted = spaces.counts_alike()
    assert min(counted["fingerprint itself"]) > 0.6  # logarithms of the same counts
    assert max(counted["first"]) < 0.3  # by chance 10 / 79


def test_every_join_and_every_network_is_a_row() -> None:
    assert {"egnn", "lstm", "graph+conformer", *(name for name in RECIPES if "+" in name)} <= set(methods())
    assert RECIPES["egnn"].members["conformer"]["config"]["encoder"] == "egnn"
    joins = {
        RECIPES[name].members["fusion"]["config"]["encoder_config"]["join"] for name in RECIPES if "conformer-" in name
    }
    assert joins == {"concat", "mean", "gated", "attention"}
