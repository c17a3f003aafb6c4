"""Answers beside a row: what is kept, what is read again, and which cells were judged."""

from pathlib import Path

import numpy as np
import pytest

from tetramer.benchmark import answers
from tetramer.errors import UserError
from tetramer.metrics import evaluate_all

TRUTH = np.array([[0.0, 1.0], [1.0, np.nan], [1.0, 1.0], [0.0, 1.0]])
CENSOR = np.zeros((4, 2), np.int8)
VALUES = np.array([[0.1, 0.2], [0.7, 0.3], [0.4, np.nan], [0.25, 0.9]])[:, :, None]


def hashes(truth: np.ndarray = TRUTH, censor: np.ndarray = CENSOR, values: np.ndarray = VALUES) -> dict[str, str]:
    scores = {
        name: evaluate_all(name, truth, values[:, :, 0], ("a", "b"), censor)[0] for name in ("roc-auc", "accuracy")
    }
    return answers.cells(truth, censor, values, scores)


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    censor = CENSOR.copy()
    censor[3, 1] = 1  # a bound is no truth
    place = tmp_path / "mean.json"
    texts = ["CO", "C", "CO", "N"]
    kept = answers.packed(np.array([7, 2, 9, 4]), texts, TRUTH, censor, VALUES)
    assert answers.packed(np.array([7, 2, 9, 4]), texts, TRUTH, censor, VALUES) == kept
    assert answers.attached({}, place) == {}
    answers.beside(place).write_bytes(kept)
    told = answers.read(Path(answers.attached({}, place)[answers.KEPT]))
    truth = TRUTH.copy()
    truth[3, 1] = np.nan
    assert told.rows.tolist() == [7, 2, 9, 4]
    assert told.molecule.tolist() == [0, 1, 0, 2]
    np.testing.assert_array_equal(told.truth, truth)
    known = np.where(np.isfinite(truth)[:, :, None], VALUES, np.nan)
    np.testing.assert_array_equal(told.values, known)


@pytest.mark.parametrize("text", [b"", b"PK\x03\x04", b"other"])
def test_a_file_that_holds_none_is_told(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "mean.answers.npz").write_bytes(text)
    with pytest.raises(UserError, match="holds no answers of a benchmark"):
        answers.read(tmp_path / "mean.answers.npz")


def test_the_cells_of_a_metric_are_those_that_it_was_computed_from() -> None:
    told = hashes()
    assert told == hashes(values=VALUES / 2)
    assert told["roc-auc"] != told["accuracy"]  # the second target has one class, which has no area
    other = VALUES.copy()
    other[[0, 2], 1] = other[[2, 0], 1]  # as many answers, another row without one
    assert hashes(values=other)["accuracy"] != told["accuracy"]
    assert hashes(values=other)["roc-auc"] == told["roc-auc"]
    swapped = [array[:, ::-1] for array in (TRUTH, CENSOR, VALUES)]
    assert hashes(*swapped)["roc-auc"] != told["roc-auc"]  # as many targets left out, another one
