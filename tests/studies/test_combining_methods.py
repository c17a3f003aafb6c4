"""Every network of "combining modalities" makes a tiny run from molecules to vectors."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tetramer import pretraining
from tetramer.benchmark import rules
from tetramer.benchmark.cases import Case, case_of
from tetramer.benchmark.methods import Given, method_of
from tetramer.datasets.writing import write_table
from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.studies.base import pretrained
from tetramer.studies.combining_modalities import FREE, PRETRAINED, methods
from tetramer.views import read
from tetramer.views.conformer import ConformerFeatures

CORES = ("CC{}", "C1CC1{}", "c1ccoc1{}", "CCC{}", "C1CCNC1{}", "CC(C){}")
TEXTS = [core.format(group) for core in CORES for group in ("O", "N", "C#N", "C=O")]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """24 molecules with places and an energy."""
    folder = tmp_path_factory.mktemp("case")
    conformers = read(TEXTS, ["conformer"], limits=Limits(0)).features["conformer"]
    assert isinstance(conformers, ConformerFeatures)
    numbers = [conformers.numbers[a:b].tolist() for a, b in pairwise(conformers.atom_starts)]
    places = [conformers.positions[a:b].ravel().tolist() for a, b in pairwise(conformers.place_starts)]
    columns = {
        "smiles": TEXTS,
        "atomic_numbers": pa.array(numbers, pa.list_(pa.uint8())),
        "coordinates": pa.array(places, pa.list_(pa.float32())),
        "g298": [-10.0 * sum(one) + 0.1 * len(text) for one, text in zip(numbers, TEXTS, strict=True)],
    }
    write_table(pa.table(columns), folder / "qm9-g298.parquet")
    return case_of(str(folder / "qm9-g298.parquet"), folder / "features", ["g298"])


@pytest.fixture(scope="module")
def lstm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An LSTM that has seen a few strings once."""
    folder = tmp_path_factory.mktemp("lstm")
    options = pretraining.Options(overrides={"training.epochs": "1"}, limits=Limits(0))
    pretraining.pretrain(TEXTS, "few", options, folder / "parts").save(folder / "smiles-lstm")
    return folder / "smiles-lstm"


def test_an_lstm_of_other_texts_is_refused(lstm: Path) -> None:
    """More seeds test other molecules, and the LSTM that is there may have learned from these."""
    options = pretraining.Options(overrides={"training.epochs": "1"})
    assert pretrained(lstm, TEXTS, "few", options, print, lambda name, share: None) == lstm
    with pytest.raises(UserError, match="was made with"):
        pretrained(lstm, TEXTS[1:], "few", options, print, lambda name, share: None)


@pytest.mark.parametrize("method", [name for name in methods() if name not in FREE])
def test_every_network_learns_and_tells(method: str, case: Case, lstm: Path, tmp_path: Path) -> None:
    """One epoch: finite answers on the test part, a vector of each of its molecules, and rows that were held back."""
    split = rules.make(case, "random", 0)
    starts = {method: str(lstm)} if method in PRETRAINED else {}
    given = Given(case.without(split.test), split, 0, "train", tmp_path / "work", 0)
    told = method_of(method, {}, {"training.epochs": "1"}, starts, case.form, case.panel).run(given)
    assert told.values.shape == (len(split.test), 1, 1)
    assert np.isfinite(told.values).all()
    assert told.vectors is not None
    assert told.vectors.shape[0] == len(split.test)
    assert np.isfinite(told.vectors).all()
    assert told.vectors.any()
    assert told.held is not None
    assert told.parameters
    assert told.parameters > 100_000
