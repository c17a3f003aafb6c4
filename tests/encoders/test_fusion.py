"""Joins of views: what each computes, what an absent view does, and what is dropped in training."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tetramer.encoders import Fusion
from tetramer.encoders.fusion import Join
from tetramer.errors import UserError
from tetramer.layers import to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.views import VIEWS
from tetramer.views.base import Batch
from tetramer.views.conformer import ConformerBatch

TEXTS = ["CCO", "c1ccccc1C(=O)N", "C[C@H](N)C(=O)O", "O", "[Na+].[Cl-]", "CC(C)(C)C"]
MOLECULES = [told for told in map(parse, TEXTS) if isinstance(told, Molecule)]
SMALL: dict[str, Any] = {"fingerprint": {"widths": [16]}, "graph": {"width": 24, "depth": 2}}
JOINS = Join.__args__  # type: ignore[attr-defined]


SPATIAL: dict[str, Any] = {"graph": {"width": 24, "depth": 2}, "conformer": {"width": 16, "depth": 2}}


def batches(lacking: dict[str, list[int]] | None = None, branches: dict[str, Any] = SMALL) -> dict[str, Batch]:
    """The molecules in both views; `lacking` names rows of a view that could not be made."""
    out = {}
    for view in branches:
        rows: list[Molecule | None] = list(MOLECULES)
        for row in (lacking or {}).get(view, []):
            rows[row] = None
        out[view] = to_tensors(
            VIEWS[view].collate(VIEWS[view].featurize(rows), np.arange(len(rows))), dtype=torch.float64
        )
    return out


def made(join: str, **settings: Any) -> Fusion:
    torch.manual_seed(0)
    fusion = Fusion(Fusion.Config(**({"branches": SMALL, "join": join, "width": 32} | settings)))
    features = {view: VIEWS[view].featurize(MOLECULES) for view in fusion.views}
    fusion.fit_statistics(features, np.arange(len(MOLECULES)))
    return fusion.eval().double()


def vectors(fusion: Fusion, views: dict[str, Batch]) -> dict[str, Tensor]:
    return {view: branch(views).molecule for view, branch in fusion.branches.items()}


def woken(fusion: Fusion) -> Fusion:
    """The same with the networks that start as zero doing something."""
    for module in fusion.joins.values():
        if isinstance(module, nn.Sequential):
            nn.init.normal_(module[-1].weight)
    return fusion


every_join = pytest.mark.parametrize("join", JOINS)


@every_join
@torch.no_grad()
def test_an_absent_view_counts_for_nothing_and_disturbs_nobody(join: str) -> None:
    fusion, whole = woken(made(join)), batches()
    full = fusion(whole).molecule
    for view in SMALL:
        partly = fusion(batches({view: [1, 3]})).molecule
        torch.testing.assert_close(partly[[0, 2, 4, 5]], full[[0, 2, 4, 5]], rtol=1e-12, atol=1e-12)
        assert partly.isfinite().all()
        assert not torch.allclose(partly[[1, 3]], full[[1, 3]])
        # what stands in an absent row is not looked at
        masked = dict(whole)
        ok = torch.ones(len(TEXTS), dtype=torch.bool)
        ok[[1, 3]] = False
        masked[view] = replace(whole[view], ok=ok)  # type: ignore[arg-type]
        torch.testing.assert_close(fusion(masked).molecule, partly, rtol=1e-12, atol=1e-12)
    nothing = fusion(batches({view: [2] for view in SMALL})).molecule
    assert nothing.isfinite().all()
    torch.testing.assert_close(nothing[[0, 1, 3]], full[[0, 1, 3]], rtol=1e-12, atol=1e-12)


@every_join
@torch.no_grad()
def test_a_molecule_without_a_conformer_is_seen_by_its_graph_and_disturbs_nobody(join: str) -> None:
    fusion, whole = woken(made(join, branches=SPATIAL)), batches(branches=SPATIAL)
    full, partly = (fusion(one).molecule for one in (whole, batches({"conformer": [1, 3]}, SPATIAL)))
    torch.testing.assert_close(partly[[0, 2, 4, 5]], full[[0, 2, 4, 5]], rtol=1e-12, atol=1e-12)
    assert partly.isfinite().all()
    assert (partly[[1, 3]] - full[[1, 3]]).abs().amax(1).min() > 1e-6
    assert (partly[1] - partly[3]).abs().max() > 1e-6  # each has its own graph
    ok = torch.tensor([True, False, True, False, True, True])  # as of a drawing, which is there and not looked at
    masked = whole | {"conformer": replace(whole["conformer"], ok=ok)}  # type: ignore[arg-type]
    torch.testing.assert_close(fusion(masked).molecule, partly, rtol=1e-12, atol=1e-12)


@every_join
@torch.no_grad()
def test_turning_and_mirroring_a_molecule_changes_nothing(join: str) -> None:
    """Rotations of a random axis, and a reflection; the branch of places is not chiral unless it is told to be."""
    fusion, whole = woken(made(join, branches=SPATIAL)), batches(branches=SPATIAL)
    one, plain = whole["conformer"], fusion(whole).molecule
    assert isinstance(one, ConformerBatch)
    q, _ = torch.linalg.qr(torch.from_numpy(np.random.Generator(np.random.Philox(0)).normal(size=(3, 3))))
    places = torch.as_tensor(one.positions)
    for turn in (q * torch.linalg.det(q), q * -torch.linalg.det(q)):
        moved = whole | {"conformer": replace(one, positions=places @ turn + 2.0)}  # type: ignore[arg-type]
        torch.testing.assert_close(fusion(moved).molecule, plain, rtol=1e-9, atol=1e-9)
    stretched = whole | {"conformer": replace(one, positions=1.1 * places)}  # type: ignore[arg-type]
    assert (fusion(stretched).molecule - plain).abs().amax(1).min() > 1e-6


@torch.no_grad()
def test_a_residual_join_starts_as_its_base() -> None:
    views = batches()
    for base in SMALL:
        fusion = made("residual", base=base)
        assert fusion.width == fusion(views).molecule.shape[1]
        assert torch.equal(fusion(views).molecule, vectors(fusion, views)[base])
        assert not torch.equal(woken(fusion)(views).molecule, vectors(fusion, views)[base])
    for branches in (SMALL, dict(reversed(SMALL.items()))):  # a card sorts names
        assert made("residual", branches=branches).base == "graph"  # the last one


@torch.no_grad()
def test_concat_is_side_by_side() -> None:
    fusion, views = made("concat", normalise=False), batches()
    told = vectors(fusion, views)
    assert torch.equal(fusion(views).molecule, torch.cat([told["fingerprint"], told["graph"]], 1))
    assert fusion.width == 16 + 24


@torch.no_grad()
def test_mean_and_gates_against_a_loop() -> None:
    views = batches({"graph": [1]})
    for join in ("mean", "gated"):
        fusion = made(join)
        told = vectors(fusion, views)
        for row in range(len(TEXTS)):
            parts, scores = [], []
            for view, vector in told.items():
                if view == "graph" and row == 1:
                    continue
                normed = fusion.norms[view](vector[row])
                parts.append(fusion.joins[view](normed))
                scores.append(fusion.scores[view](normed) if join == "gated" else torch.zeros(1))
            share = torch.cat(scores).double().softmax(0)
            expected = sum(weight * part for weight, part in zip(share, parts, strict=True))
            torch.testing.assert_close(fusion(views).molecule[row], expected, rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_a_closed_gate_leaves_the_other_view() -> None:
    fusion, views = made("gated"), batches()
    nn.init.zeros_(fusion.norms["graph"].weight)
    nn.init.constant_(fusion.norms["graph"].bias, 1.0)
    nn.init.constant_(fusion.scores["graph"].weight, -1e3)
    alone = fusion.joins["fingerprint"](fusion.norms["fingerprint"](vectors(fusion, views)["fingerprint"]))
    torch.testing.assert_close(fusion(views).molecule, alone)


@torch.no_grad()
def test_attention_sees_every_atom() -> None:
    """Attention over atoms tells apart what sums of atoms cannot: the share of an atom depends on its vector."""
    fusion, views = made("attention"), batches()
    whole = fusion(views).molecule
    graph: Any = views["graph"]
    other = graph.atoms.clone()
    other[0, 0] = 9  # the first atom of the first molecule becomes fluorine
    changed = fusion(views | {"graph": replace(graph, atoms=other)}).molecule
    assert not torch.allclose(changed[0], whole[0])
    torch.testing.assert_close(changed[1:], whole[1:], rtol=1e-12, atol=1e-12)


def test_views_are_dropped_in_training_but_never_all() -> None:
    fusion = made("mean", absent=0.6).train()
    there = torch.ones(4000, 2, dtype=torch.bool)
    there[:1000, 0] = False
    torch.manual_seed(0)
    kept = fusion.present(there)
    assert kept.any(1).all()
    assert not (kept & ~there).any()
    lonely = (kept[1000:].sum(1) == 1).float().mean()
    assert abs(lonely - 2 * 0.6 * 0.4) < 0.04  # both gone (0.36) means both stay
    assert torch.equal(fusion.eval().present(there), there)
    torch.manual_seed(1)
    again = fusion.train().present(there)
    torch.manual_seed(1)
    assert torch.equal(again, fusion.present(there))


@every_join
def test_every_parameter_learns(join: str) -> None:
    fusion = woken(made(join))
    fusion(batches({"graph": [1], "fingerprint": [3]})).molecule.square().sum().backward()
    for name, parameter in fusion.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"branches": {"graph": {}}}, "two views or more; got graph"),
        ({"branches": {"graph": {}, "form": {}}}, "no view named 'form'"),
        ({"branches": {"graph": {"encoder": "mlp"}, "fingerprint": {}}}, "no encoder of the graph view named 'mlp'"),
        ({"join": "sum"}, "no fusion named 'sum'"),
        ({"base": "smiles"}, "base='smiles' is none of the branches: fingerprint, graph"),
        ({"width": 30}, "a width that 4 divides"),
        ({"absent": 1.0}, r"absent in \[0, 1\)"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        made(**({"join": "mean"} | settings))
