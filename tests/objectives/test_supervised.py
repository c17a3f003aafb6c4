"""Heads that learn in z-scores and answer in units: every number here is worked out by hand."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tetramer.encoders import Encoder, Encoding
from tetramer.objectives import OBJECTIVES, Loss, Sample, Supervised, SupervisedConfig, Targets
from tetramer.views.base import Batch
from tetramer.views.fingerprint import FingerprintBatch

RNG = torch.Generator()


@dataclass(frozen=True)
class NoConfig:
    pass


class Given(Encoder):
    """Its molecule vectors are the first descriptors of the batch."""

    Config = NoConfig
    views = ("fingerprint",)

    def __init__(self, width: int):
        super().__init__()
        self.config, self.width = NoConfig(), width

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        batch: Any = views["fingerprint"]
        return Encoding(batch.descriptors[:, : self.width])


def views(answers: list[list[float]]) -> dict[str, Batch]:
    """Molecules whose head, once it is the identity, answers `answers` (B, T·K)."""
    size = len(answers)
    width = len(answers[0]) if answers else 1
    rows = torch.tensor(answers, dtype=torch.float32).reshape(size, width)
    ok, none = torch.ones(size, dtype=torch.bool), torch.zeros(size, 2048)
    batch: Any = FingerprintBatch(size, ok, counts=none, descriptors=rows)
    return {"fingerprint": batch}


def identity(config: SupervisedConfig) -> Supervised:
    """An objective whose head hands on what the encoder gives."""
    width = config.targets * config.classes
    model = Supervised(Given(width), replace(config, widths=()))
    with torch.no_grad():
        model.head[0].weight.copy_(torch.eye(width))
        model.head[0].bias.zero_()
    return model


def targets(
    values: list[list[float]], censor: list[list[int]] | None = None, weight: list[float] | None = None
) -> Targets:
    rows = torch.tensor(values, dtype=torch.float64)
    return Targets(
        rows,
        torch.tensor(censor, dtype=torch.int8) if censor else torch.zeros(rows.shape, dtype=torch.int8),
        torch.tensor(weight) if weight else torch.ones(len(values)),
    )


def loss(config: SupervisedConfig, answers: list[list[float]], wanted: Targets) -> Loss:
    return identity(config).loss(Sample(views(answers), wanted), RNG)


NAN = math.nan
THREE = [[1.0], [2.0], [6.0]]


def fitted(config: SupervisedConfig, values: list[list[float]], weight: list[float] | None = None) -> Supervised:
    model = identity(config)
    rows = np.array(values)
    model.fit_statistics(rows, np.array(weight or [1.0] * len(rows)))
    return model


def test_a_zeroed_head_answers_the_training_mean() -> None:
    model = fitted(SupervisedConfig(targets=2), [[1.0, NAN], [2.0, 10.0], [6.0, 30.0]])
    answer = model.predict(views([[0.0, 0.0]] * 2))
    assert answer.tolist() == [[[3.0], [20.0]]] * 2
    assert model.std.tolist() == pytest.approx([math.sqrt(14 / 3), 10.0])


def test_one_z_is_one_standard_deviation() -> None:
    model = fitted(SupervisedConfig(), THREE)
    assert model.predict(views([[1.0]])).item() == pytest.approx(3 + math.sqrt(14 / 3))


def test_row_weights_move_the_mean() -> None:
    assert fitted(SupervisedConfig(), THREE, [1.0, 0.0, 3.0]).mean.tolist() == [4.75]


def test_a_target_without_labels_or_spread_keeps_its_units() -> None:
    model = fitted(SupervisedConfig(targets=2), [[NAN, 7.0], [NAN, 7.0]])
    assert (model.mean.tolist(), model.std.tolist()) == ([0.0, 7.0], [1.0, 1.0])


def test_what_is_trained_is_what_is_answered() -> None:
    """The loss of a regression is the squared error of `predict` over the variance."""
    model = fitted(SupervisedConfig(), THREE)
    shown = views([[0.3], [-1.0]])
    wanted = targets([[2.5], [9.0]])
    error = (model.predict(shown)[..., 0] - wanted.values) / model.std
    value = model.loss(Sample(shown, wanted), RNG).value
    assert value.item() == pytest.approx((error**2).mean().item(), rel=1e-6)


@pytest.mark.parametrize(
    "kind, expected", [("mse", (1 + 4 + 0.25) / 3), ("mae", (1 + 2 + 0.5) / 3), ("huber", (0.5 + 1.5 + 0.125) / 3)]
)
def test_regression_losses_by_hand(kind: Any, expected: float) -> None:
    got = loss(SupervisedConfig(loss=kind), [[1.0], [0.0], [3.5]], targets([[0.0], [2.0], [3.0]]))
    assert got.value.item() == pytest.approx(expected)
    assert got.parts["mae"].item() == pytest.approx(3.5 / 3)


def test_missing_labels_are_not_counted_and_rows_are_weighed() -> None:
    wanted = targets([[0.0, NAN], [2.0, 5.0], [NAN, NAN]], weight=[1.0, 0.5, 9.0])
    got = loss(SupervisedConfig(targets=2), [[1.0, 8.0], [0.0, 8.0], [7.0, 7.0]], wanted)
    assert got.value.item() == pytest.approx((1 + 0.5 * 4 + 0.5 * 9) / 3)
    assert got.parts["known"].item() == 3


@pytest.mark.parametrize("censor, answer, expected", [(1, 4.0, 1.0), (1, 6.0, 0.0), (-1, 4.0, 0.0), (-1, 6.0, 1.0)])
def test_a_bound_costs_only_on_its_wrong_side(censor: int, answer: float, expected: float) -> None:
    """> 5 is broken by an answer of 4 and kept by one of 6; < 5 the other way round."""
    got = loss(SupervisedConfig(), [[answer]], targets([[5.0]], [[censor]]))
    assert (got.value.item(), got.parts["mae"].item()) == (expected, expected)


def test_binary_loss_by_hand() -> None:
    got = loss(SupervisedConfig(task="binary"), [[0.0], [math.log(3)]], targets([[1.0], [0.0]]))
    assert got.value.item() == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert got.parts["accuracy"].item() == 0.0


def test_a_probability_answers_a_classification() -> None:
    model = identity(SupervisedConfig(task="binary"))
    assert model.predict(views([[0.0], [math.log(3)]])).flatten().tolist() == pytest.approx([0.5, 0.75])


def test_multiclass_by_hand() -> None:
    config = SupervisedConfig(task="multiclass", targets=2, classes=3)
    answers = [[math.log(2), 0.0, 0.0, 0.0, 0.0, 0.0]]
    model = identity(config)
    answer = model.predict(views(answers))
    assert answer[0, 0].tolist() == pytest.approx([0.5, 0.25, 0.25])
    assert answer[0, 1].tolist() == pytest.approx([1 / 3] * 3)
    got = model.loss(Sample(views(answers), targets([[0.0, 2.0]])), RNG)
    assert got.value.item() == pytest.approx((math.log(2) + math.log(3)) / 2)


@pytest.mark.parametrize("task, classes", [("binary", 1), ("multiclass", 2)])
def test_balanced_classes_weigh_the_same(task: Any, classes: int) -> None:
    """Three of class 0, one of class 1: weights 4/6 and 4/2."""
    config = SupervisedConfig(task=task, classes=classes, class_balance=True)
    model = fitted(config, [[0.0], [0.0], [0.0], [1.0]])
    assert model.class_weight[0].tolist() == pytest.approx([2 / 3, 2.0])
    each = model.loss(Sample(views([[0.0] * classes] * 2), targets([[0.0], [1.0]])), RNG).value.item()
    assert each == pytest.approx((2 / 3 + 2) / 2 * math.log(2))


def test_a_class_that_a_target_lacks_has_no_probability() -> None:
    """Three classes of the first target, two of the second; a label nobody had in training costs nothing."""
    model = fitted(SupervisedConfig(task="multiclass", targets=2, classes=3), [[0.0, 0.0], [2.0, 1.0]])
    shown = views([[0.0] * 6])
    assert model.predict(shown)[0].tolist() == [pytest.approx([1 / 3] * 3), [0.5, 0.5, 0.0]]
    assert model.loss(Sample(shown, targets([[1.0, 2.0]])), RNG).value.item() == pytest.approx(math.log(3) / 2)


def test_without_balance_no_class_is_weighed() -> None:
    assert fitted(SupervisedConfig(task="binary"), [[0.0], [0.0], [1.0]]).class_weight.tolist() == [[1.0, 1.0]]


def test_large_energies_lose_no_digits() -> None:
    model = fitted(SupervisedConfig(), [[-40000.0001], [-40000.0003]])
    assert model.predict(views([[1.0]])).item() == pytest.approx(-40000.0001, abs=1e-9)
    value = model.loss(Sample(views([[1.0]]), targets([[-40000.0001]])), RNG).value.item()
    assert value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("task, classes", [("regression", 1), ("binary", 1), ("multiclass", 3)])
def test_no_label_gives_zero_loss_and_zero_gradients(task: Any, classes: int) -> None:
    model = Supervised(Given(3), SupervisedConfig(task=task, targets=2, classes=classes))
    value = model.loss(Sample(views([[1.0, 2.0, 3.0]] * 2), targets([[NAN, NAN]] * 2)), RNG).value
    value.backward()
    assert value.item() == 0.0
    assert all(p.grad is not None and not p.grad.any() for p in model.head.parameters())


ROWS = st.lists(
    st.tuples(
        st.floats(-5, 5), st.one_of(st.just(NAN), st.floats(-5, 5)), st.sampled_from([-1, 0, 1]), st.floats(0, 3)
    ),
    min_size=1,
    max_size=8,
)


@given(ROWS, st.sampled_from(["mse", "mae", "huber"]))
def test_the_loss_equals_a_loop_over_labels(rows: list[tuple[float, float, int, float]], kind: Any) -> None:
    cost = {"mse": lambda e: e * e, "mae": abs, "huber": lambda e: e * e / 2 if abs(e) < 1 else abs(e) - 0.5}[kind]
    total, known = 0.0, 0
    for answer, value, censor, weight in rows:
        if math.isnan(value):
            continue
        error, known = answer - value, known + 1
        if (censor > 0 and error > 0) or (censor < 0 and error < 0):
            error = 0.0
        total += weight * cost(error)
    wanted = targets([[r[1]] for r in rows], [[r[2]] for r in rows], [r[3] for r in rows])
    got = loss(SupervisedConfig(loss=kind), [[r[0]] for r in rows], wanted).value.item()
    assert got == pytest.approx(total / max(known, 1), rel=1e-4, abs=1e-5)


@given(st.permutations(range(4)), st.integers(1, 3))
def test_unlabelled_rows_and_row_order_do_not_matter(order: list[int], extra: int) -> None:
    answers, values = [[0.5], [1.0], [-1.0], [2.0]], [[1.0], [NAN], [0.0], [2.5]]
    plain = loss(SupervisedConfig(), answers, targets(values)).value.item()
    mixed = [answers[i] for i in order] + [[9.0]] * extra, [values[i] for i in order] + [[NAN]] * extra
    assert loss(SupervisedConfig(), mixed[0], targets(mixed[1])).value.item() == pytest.approx(plain)


def test_parameters_and_buffers_have_the_agreed_names() -> None:
    model = Supervised(Given(3), SupervisedConfig())
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"head"}
    assert {name for name, _ in model.named_buffers()} == {"mean", "std", "class_weight", "labelled"}
    assert model.views == ("fingerprint",)


def test_the_table_has_every_objective() -> None:
    assert OBJECTIVES["supervised"] is Supervised


def test_answers_stay_fp32_where_the_encoder_runs_in_bf16() -> None:
    model = Supervised(Given(3), SupervisedConfig())
    shown = views([[1.0, 2.0, 3.0]])
    with torch.autocast("cpu", torch.bfloat16):
        mixed: Tensor = model(shown)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, model(shown), rtol=0, atol=0)
