"""The study from end to end on a few made molecules: encoders once, rows once, a table of data efficiency."""

import json
from pathlib import Path

import numpy as np
import pytest

from tetramer.benchmark.cells import Spread
from tetramer.benchmark.efficiency import SHARES, Efficiency
from tetramer.errors import UserError
from tetramer.generation import generate
from tetramer.studies import Asked, base, smiles_transformer
from tetramer.studies.base import Reach
from tetramer.studies.finished import over_seeds
from tetramer.studies.smiles_transformer import MODELS, PRINTED, Story, seeds_of

NAME = "freesolv"
METHODS = ["mean", "ecfp-linear", "smiles-transformer"]
SMALL = {"training.epochs": "1", "encoder.width": "16", "encoder.depth": "1"}
OVERRIDES = {"training.epochs": "1", "encoder.width": "16", "encoder.depth": "2", "objective.depth": "1"}


def ask(output: Path, **changed: object) -> list[str]:
    told: dict[str, object] = {"size": "tiny", "methods": METHODS, "workers": 0}
    lines, failed = smiles_transformer.PLAN.run(
        Asked(output, **told | changed),  # type: ignore[arg-type]
        lambda text: None,
        lambda name, share: None,
    )
    assert failed == []
    return lines


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> tuple[Path, list[str]]:
    output = tmp_path_factory.mktemp("transformer")
    tiny = Reach("for the test", None, 0, 2, 60, probed=(NAME,), repeats=1, overrides=OVERRIDES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(smiles_transformer.SIZES, "tiny", tiny)
        lines = ask(output)
        assert ask(output) == lines  # nothing is measured again, and the page is the same
    return output, lines


def test_the_table_is_the_mean_of_the_rows(done: tuple[Path, list[str]]) -> None:
    output, lines = done
    rows = [json.loads(path.read_text()) for path in (output / "dem" / NAME).glob("*-train/*.json")]
    assert len(rows) == len(SHARES) * 4  # two free rows and two encoders
    told = {}
    for name in ("mean", "ecfp-linear", "smiles-transformer-0", "smiles-transformer-1"):
        told[name] = np.mean([row["scores"]["rmse"] for row in rows if row["method"].endswith(name)])
    cells = {line.split()[0]: line.split()[1:] for line in reversed(lines) if line.strip()}  # the first of each name
    assert float(cells["ecfp-linear"][0]) == pytest.approx(told["ecfp-linear"], abs=0.006)
    both = [told["smiles-transformer-0"], told["smiles-transformer-1"]]
    assert float(cells["smiles-transformer"][0]) == pytest.approx(np.mean(both), abs=0.02)
    assert any("printed" in line and "2.45" in line for line in lines)


def test_the_page_is_whole(done: tuple[Path, list[str]]) -> None:
    page = (done[0] / "report.html").read_text()
    for text in ("SMILES Transformer, printed", "freesolv, by share of the rows", MODELS["smiles-transformer"].about):
        assert text in page


def test_encoders_learn_from_as_many_molecules_as_the_size_says(done: tuple[Path, list[str]]) -> None:
    card = json.loads((done[0] / "encoders" / "smiles-transformer-1" / "card.json").read_text())
    assert (card["corpus"]["rows"], card["seed"], card["method"]) == (60, 1, "smiles-transformer")


def test_a_size_overrules_what_is_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr(base, "pretrained", lambda *told: seen.append(told[3].overrides.get("training.epochs")))
    for name, size in smiles_transformer.SIZES.items():
        asked = Asked(tmp_path, name)
        made = base.Encoders(asked, MODELS, size.overrides, "chembl", list, print, lambda name, share: None)
        made.made("smiles-transformer-published", 0)
    assert dict(zip(smiles_transformer.SIZES, seen, strict=True)) == {"small": "1", "default": "2", "paper": None}


def test_what_an_encoder_writes_is_counted(tmp_path: Path, data_dir: Path) -> None:
    tiny = Reach("for the test", None, 0, 1, 60, probed=(NAME,), repeats=1, overrides=SMALL)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(smiles_transformer.SIZES, "tiny", tiny)
        patch.setattr(smiles_transformer, "generate", lambda *told: seen.append(told[1]) or generate(*told))
        lines = ask(tmp_path, splits=["samples"], methods=["mean", "smiles-lstm"])
        assert ask(tmp_path, splits=["samples"], methods=["smiles-lstm"]) == lines
    told = json.loads((tmp_path / "samples" / "smiles-lstm-0.json").read_text())
    assert (list(told["numbers"]), told["size"]) == (["1", "0.8"], "tiny")
    assert [(one.count, one.temperature, one.seed) for one in seen] == [(60, 1.0, 0), (60, 0.8, 0)]
    assert all(one["strings"] == 60 and one["corpus"]["learned_from"] for one in told["numbers"].values())
    assert any("smiles-lstm at 1" in line for line in lines)
    assert "New molecules" in (tmp_path / "report.html").read_text()


def test_wrong_words_teach(tmp_path: Path) -> None:
    for changed, says in (
        ({"splits": ["freesolve"]}, "freesolv"),
        ({"methods": ["transformer"]}, "smiles-transformer"),
        ({"target": "gap"}, "has no target"),
        ({"seeds": 0}, "--seeds 0 measures nothing"),
        ({"seeds": -1}, "--seeds -1 measures nothing"),
        (
            {"splits": ["samples"], "methods": ["mean", "smiles-transformer"]},
            "Nothing of samples is asked of mean, smiles-transformer",
        ),
    ):
        with pytest.raises(UserError, match=says):
            ask(tmp_path, size="small", **changed)
    with pytest.raises(UserError, match="holds no rows"):
        ask(tmp_path, size="small", measure=False)


def test_seeds_of_an_encoder_are_one_row() -> None:
    names = ("linear head on x-y-0", "linear head on x-y-1", "ecfp-linear")
    splits = ({"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 3.0}, {"a": 2.0, "b": 4.0})
    means = tuple((value,) * 7 for value in (1.5, 2.5, 3.0))
    told = Efficiency("esol", "train", "rmse", False, names, (1.5, 2.5, 3.0), means, splits, 0.0, ())
    assert seeds_of(told) == {"x-y": [*names[:2]], "ecfp-linear": ["ecfp-linear"]}
    ours, free = Story([], [], {"x-y": ""}).shares(told).rows
    assert ours[:2] == ["x-y", Spread(2.0, error=0.5**0.5)]  # 1.5 and 2.5, split by split
    assert ours[2].value == pytest.approx(-1.0)  # type: ignore[union-attr]
    assert ours[3:] == [None, *[2.0] * 7]
    assert free[2:4] == [None, None]
    assert (over_seeds([]), over_seeds([2.0])) == (None, 2.0)


def test_every_printed_row_has_a_column() -> None:
    assert all(len(numbers) == len(smiles_transformer.AUTHORS) for numbers in PRINTED.values())
