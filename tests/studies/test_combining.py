"""The study from end to end on a few made molecules: rows once, a page of all of them, fusion chosen on held rows."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tetramer.benchmark.methods import Told
from tetramer.benchmark.row import Settings, packed
from tetramer.datasets import sources
from tetramer.datasets.tables import Table, has_geometry
from tetramer.datasets.writing import write_table, write_whole
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.recipes import RECIPES, is_recipe
from tetramer.studies import STUDIES, Asked, combining_modalities, combining_rows, qm9
from tetramer.studies.base import Size
from tetramer.studies.combining_modalities import MODELS, methods
from tetramer.studies.combining_rows import Rows, least_absolute
from tetramer.studies.combining_story import Story
from tetramer.views import read
from tetramer.views.conformer import ConformerFeatures

NETWORKS = ["fingerprint", "graph", "fingerprint+graph", "study001-fp-mlp", "study001-rnn"]
FREE = ["mean", "atom-counts", "energy-2d", "energy-3d"]


RARE = "C1CC1C C1CCC1C C1CCCC1C C1CCCCCC1C c1ccsc1C c1cnccn1 c1ccc2ccccc2c1 C1CO1 C1CN1C c1cc[nH]c1 C1COCCO1 C1CCNCC1"


@pytest.fixture(scope="module")
def made(smiles: list[str]) -> Table:
    """92 molecules with places and an energy: a sum over atoms of some eV, and a little that is none."""
    smiles = [*smiles, *RARE.split()]
    conformers = read(smiles, ["conformer"], limits=Limits(0)).features["conformer"]
    assert isinstance(conformers, ConformerFeatures)
    numbers = [conformers.numbers[a:b].tolist() for a, b in pairwise(conformers.atom_starts)]
    places = [conformers.positions[a:b].ravel().tolist() for a, b in pairwise(conformers.place_starts)]
    energy = [-10.0 * sum(one) + 0.3 * text.count("c") for one, text in zip(numbers, smiles, strict=True)]
    columns = {"mol_id": [str(row) for row in range(len(smiles))], "smiles": smiles}
    lists = {
        "atomic_numbers": pa.array(numbers, pa.list_(pa.uint8())),
        "coordinates": pa.array(places, pa.list_(pa.float32())),
    }
    return Table(pa.table(columns | lists | {"g298": energy}), "made")


@pytest.fixture(scope="module")
def done(made: Table, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A finished study of some rows: two seeds of random splits, one scaffold split with two trainings."""
    output = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qm9, "table", lambda target, rows: made)
        patch.setattr(qm9, "others", lambda target, rows, count: made.data["smiles"].to_pylist()[:40])
        patch.setitem(combining_modalities.SIZES, "tiny", Size("for the test", None, 600, 2))
        asked = Asked(output, "tiny", methods=[*FREE, *NETWORKS], workers=1)
        lines, failed = combining_modalities.run(asked, lambda text: None, lambda name, share: None)
        assert failed == []
        again = Asked(output, "tiny", methods=["no such method"], measure=False)
        assert combining_modalities.run(again, lambda text: None, lambda name, share: None) == (lines, [])
    return output, lines


def rows(output: Path) -> Rows:
    return Rows.load(output, output / "data" / "qm9-g298.parquet", "g298")


def test_every_row_is_there_and_told(done: tuple[Path, list[str]]) -> None:
    output, lines = done
    for split in ("scaffold-mixed", "random"):
        for method in NETWORKS:
            one = rows(output).measured(method, split)
            assert one is not None
            assert list(one.errors) == [0, 1]
            assert one.parameters
        free = rows(output).measured("atom-counts", split)
        assert free is not None
        assert len(free.errors) == (1 if split == "scaffold-mixed" else 2)
    assert sum("FP-MLP" in line for line in lines) == 2 * 3
    told = json.loads((output / "report.json").read_text())
    assert {one["as"] for one in told["errors"]} == {"free", "ours", "as published, measured", "late"}
    published = [one for one in told["errors"] if one["as"] == "as published, measured"]
    assert {one["parameters"] for one in published if one["model"] == "FP-MLP"} == {1_973_761}


def test_counting_atoms_is_free_and_a_raw_target_is_not_learned(done: tuple[Path, list[str]]) -> None:
    """Composition explains nearly all of the energy; a published network on the raw target misses by far more."""
    told = {
        name: rows(done[0]).measured(name, "random") for name in ("mean", "atom-counts", "study001-fp-mlp", "graph")
    }
    errors = {name: one.mean for name, one in told.items() if one}
    assert errors["atom-counts"] < 0.01 * errors["mean"]
    assert errors["graph"] < errors["study001-fp-mlp"]


def test_late_fusion_is_chosen_on_rows_that_nobody_learned_from(
    done: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = done[0]
    monkeypatch.setattr(combining_rows, "FEW", 1)
    here = rows(output)
    late = here.late(["fingerprint", "graph"], "random")
    assert late is not None
    for seed in (0, 1):
        kept = [here.kept(name, "random", seed) for name in ("fingerprint", "graph")]
        assert kept[0] is not None
        assert kept[1] is not None
        assert not set(kept[0]["held"]) & set(kept[0]["rows"])
        truth = here.values[kept[0]["held"]]
        held, told = (np.stack([one[name][:, 0, 0] for one in kept if one]) for name in ("held_values", "values"))
        share = late.weights[seed]["graph"]
        shares = np.array([share, *np.linspace(0, 1, 501)])[:, None]
        missed = np.abs((1 - shares) * held[0] + shares * held[1] - truth).mean(axis=1)
        assert missed[0] <= missed[1:].min() + 1e-3 * missed.max()
        answer = (1 - share) * told[0] + share * told[1]
        assert late.errors[seed] == pytest.approx(np.abs(answer - here.values[kept[0]["rows"]]).mean(), rel=1e-3)
    assert here.late(["graph", "conformer"], "random") is None  # the second was not measured


def test_weights_of_the_least_absolute_error_exactly() -> None:
    """The median of what is missed decides, so one row far out does not; two answers of four fit by their mean."""
    base = np.arange(12.0)
    low, high, truth = base - 1, base + 2, np.where(base == 11, 50, base)
    assert least_absolute(np.stack([low, high]), truth) == pytest.approx([2 / 3, 1 / 3])
    assert least_absolute(np.stack([low, low - 7, truth + 5, truth - 5]), truth) == pytest.approx([0, 0, 0.5, 0.5])
    assert least_absolute(np.stack([low, high])[:, :9], truth[:9]) == pytest.approx([0.5, 0.5])  # too few to tell


def test_the_page_has_all_it_says(done: tuple[Path, list[str]]) -> None:
    output = done[0]
    page = (output / "report.html").read_text()
    assert page.count("<img") >= 6  # bars of two splits, two maps, the grid of neighbours, the mark
    story = Story(rows(output), MODELS, FREE)
    assert set(story.claims) == {0, 1}  # seeds
    assert set(story.claims[0]) == {
        "fingerprint itself",
        "FP-MLP, published",
        "FP-MLP, ours",
        "MPNN, ours",
        "MPNN + FP, ours",
        "LSTM, published",
    }
    claim = story.claims[0]["MPNN, ours"]["target"]
    assert claim.low <= claim.value <= claim.high
    for words in (
        "late: fingerprint, graph",
        "atom counts",
        "neighbours of supervised vectors share",
        "Share of 10 neighbours in common with those by Tanimoto",
        "printed (scaffold split), MAE / σ",
    ):
        assert words in page


def test_without_kept_vectors_the_table_is_drawn_and_the_maps_are_left_out(
    done: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """As in a clone that has the rows alone."""
    for path in done[0].glob("qm9-g298/*/*.json"):
        place = tmp_path / path.relative_to(done[0])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    (tmp_path / "qm9-g298" / "late.json").write_bytes((done[0] / "qm9-g298" / "late.json").read_bytes())
    assert rows(tmp_path).late(["fingerprint", "graph"], "random") == rows(done[0]).late(
        ["fingerprint", "graph"], "random"
    )
    combining_modalities.run(Asked(tmp_path, measure=False), lambda text: None, lambda name, share: None)
    page = (tmp_path / "report.html").read_text()
    assert "Errors, scaffold-mixed split" in page
    assert "late: fingerprint, graph" in page
    assert "Two nearest by cosine" not in page


def kept_row(output: Path, seed: int, **answers: list[float]) -> None:
    """Finished rows of one random split: molecule 0 is tested, 1 and 2 were held back. answers: of a method, to all"""
    for method, told in answers.items():
        place = output / "qm9-g298" / f"random-{seed}-train" / f"{method}.json"
        error = abs(told[0] - ENERGIES[0])
        row = {"method": method, "data": "qm9-g298", "split": "random", "seed": seed, "fit_rows": "train"}
        row |= {
            "scores": {"mae": error},
            "refused": None,
            "config_sha256": "",
            "split_sha256": "",
            "parameters": 1,
            "cost": {"seconds": 1},
        }
        write_whole(place, json.dumps(row).encode())
        values = np.array(told)[:, None, None]
        vectors = Settings(str(output)).beside(place)
        write_whole(vectors, packed(np.array([0]), Told(values[:1], 2, held=np.array([1, 2]), held_values=values[1:])))


ENERGIES = [1.0, 2.0, 3.0]


def test_late_fusion_keeps_the_seeds_that_another_machine_measured(tmp_path: Path) -> None:
    """What `late.json` holds of other seeds and other pairs stays, also when the page alone is drawn."""
    write_table(pa.table({"smiles": ["C", "CC", "CCC"], "g298": ENERGIES}), tmp_path / "data" / "qm9-g298.parquet")
    pairs = [("fingerprint", "graph")]
    for seed in range(3):
        kept_row(tmp_path, seed, fingerprint=[1.0 + seed, 2.0, 3.0], graph=[1.0, 2.5, 2.5])
    rows(tmp_path).save_late(pairs)
    whole = rows(tmp_path).late(pairs[0], "random")
    assert whole is not None
    assert whole.errors == pytest.approx({0: 0.0, 1: 0.5, 2: 1.0})  # two held rows leave the weights equal
    assert whole.shares == pytest.approx({"fingerprint": 0.5, "graph": 0.5})
    for path in (tmp_path / "vectors").glob("*/random-[12]-*/*"):
        path.unlink()
    kept_row(tmp_path, 0, fingerprint=[1.25, 2.0, 3.0])
    rows(tmp_path).save_late(pairs)
    rows(tmp_path).save_late([("fingerprint", "smiles")])
    merged = rows(tmp_path).late(pairs[0], "random")
    assert merged is not None
    assert merged.errors == pytest.approx({0: 0.125, 1: 0.5, 2: 1.0})
    assert set(merged.weights) == {0, 1, 2}
    assert json.loads((tmp_path / "qm9-g298" / "late.json").read_text())[0]["method"] == "late: fingerprint, graph"


def test_late_fusion_has_no_seed_of_which_a_row_was_taken_away(tmp_path: Path) -> None:
    """Neither from the answers that still lie there, nor from what was saved."""
    write_table(pa.table({"smiles": ["C", "CC", "CCC"], "g298": ENERGIES}), tmp_path / "data" / "qm9-g298.parquet")
    for seed in range(2):
        kept_row(tmp_path, seed, fingerprint=[1.0 + seed, 2.0, 3.0], graph=[1.0, 2.5, 2.5])
    rows(tmp_path).save_late([("fingerprint", "graph")])
    for seed, left in ((0, {1}), (1, set())):
        (tmp_path / "qm9-g298" / f"random-{seed}-train" / "graph.json").unlink()
        told = rows(tmp_path).late(["fingerprint", "graph"], "random")
        assert set(told.errors if told else ()) == left


def test_answers_of_another_fit_are_not_those_of_a_row(tmp_path: Path) -> None:
    """A row that was measured again elsewhere has neither the answers that lie here nor late fusions made of them."""
    write_table(pa.table({"smiles": ["C", "CC", "CCC"], "g298": ENERGIES}), tmp_path / "data" / "qm9-g298.parquet")
    kept_row(tmp_path, 0, fingerprint=[1.5, 2.0, 3.0], graph=[1.0, 2.5, 2.5])
    rows(tmp_path).save_late([("fingerprint", "graph")])
    assert rows(tmp_path).late(["fingerprint", "graph"], "random") is not None
    place = tmp_path / "qm9-g298" / "random-0-train" / "graph.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"scores": {"mae": 0.25}}))
    assert rows(tmp_path).kept("graph", "random", 0) is None
    assert rows(tmp_path).kept("fingerprint", "random", 0) is not None
    assert rows(tmp_path).late(["fingerprint", "graph"], "random") is None


def test_every_row_of_the_study_has_a_method() -> None:
    assert all(is_recipe(name) or name in FREE for name in methods())
    assert {model.published for model in MODELS if model.published} <= set(RECIPES)
    assert set(STUDIES) == {"combining-modalities", "molr", "motif", "smiles-transformer"}


def test_qm9_is_joined_and_in_electronvolts(data_dir: Path) -> None:
    """21,450 molecules have G and a geometry; the spread is that of total energies in eV, not of atomisation."""
    whole = qm9.table("g298")
    values = whole.data["g298"].to_numpy()
    assert len(whole) == 21_450
    assert has_geometry(whole)
    assert values.std() == pytest.approx(1_061, abs=1)
    partial = sources.load("qm9-partial").data
    row = partial["mol_id"].to_pylist().index(whole.data["mol_id"][7].as_py())
    assert values[7] == pytest.approx(27.211386 * float(partial["g298"][row].as_py()), rel=1e-7)
    dipole = qm9.table("mu").data
    assert dipole.num_rows == 21_450
    assert dipole["mu"][7].as_py() == float(partial["mu"][row].as_py())  # no hartree
    others = qm9.others("g298", None, 50)
    assert len(others) == 50
    assert not set(others) & set(whole.data["smiles"].to_pylist())
    few = qm9.table("g298", 100)
    assert len(few) == 100
    assert set(few.data["mol_id"].to_pylist()) < set(whole.data["mol_id"].to_pylist())
    with pytest.raises(UserError, match="cannot be drawn"):
        qm9.table("g298", 30_000)
    with pytest.raises(UserError, match="property of QM9"):
        qm9.table("g299")
