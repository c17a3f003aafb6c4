"""Motifs as vectors: exact small answers, counts of the partition, and what must not matter."""

import random
from collections import Counter
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from tetramer import decomposition, shards
from tetramer.encoders import MPNN, Encoder, Encoding, Fusion
from tetramer.encoders.fusion import FusionConfig
from tetramer.encoders.lstm import LSTM, LSTMConfig
from tetramer.encoders.mpnn import MPNNConfig
from tetramer.errors import UserError
from tetramer.inference import Model, Pretrained
from tetramer.layers import to_tensors
from tetramer.members.base import REGRESSION, Problem
from tetramer.members.neural import Neural, NeuralConfig, build
from tetramer.members.work import Fitted
from tetramer.molecules import Limits, Molecule, Standard, parse
from tetramer.molecules.motifs import partition
from tetramer.space.motif_vectors import (
    Contexts,
    MotifVectors,
    Told,
    gather,
    graph_encoders,
    motif_vectors,
    ordered,
    sentences,
)
from tetramer.views import Reader, graph
from tetramer.views.base import Batch

Made = dict[str, Contexts]


class Size(Encoder):
    """An atom's vector is how many atoms its molecule has, and its element: the first tells the context."""

    views = ("graph",)
    width = 2

    def __init__(self, config: object) -> None:
        super().__init__()
        self.config = config

    def forward(self, views: Mapping[str, Batch]) -> Encoding:
        batch: Any = views["graph"]
        size = torch.bincount(batch.owner, minlength=batch.size)[batch.owner]
        tokens = torch.stack([size, batch.atoms[:, 0]], 1).float()
        return Encoding(torch.zeros(batch.size, 2), tokens[:, self.config] if self.config else tokens)


def pretrained(encoder: Encoder) -> Pretrained:
    return Pretrained({}, encoder, Standard(), {})


def network(**config: Any) -> MPNN:
    torch.manual_seed(0)
    return MPNN(MPNNConfig(**({"width": 16, "depth": 3} | config))).eval()


def told(encoder: Encoder, texts: list[str], **more: Any) -> Told:
    with Reader(limits=Limits(0)) as reader:
        return motif_vectors(pretrained(encoder), reader, texts, **more)


HAND = ["Cc1ccccc1", "C1CC", "CCc1ccccc1", "Cc1ccc(C)cc1"]  # 7, 8 and 8 atoms


def test_every_number_by_hand() -> None:
    made = told(Size(None), HAND)
    rows = made.trained.table().to_pylist()
    assert [(row["motif"], row["occurrences"], row["molecules"]) for row in rows] == [
        *(("*C", 3, 2), ("*c1ccccc1", 2, 2), ("*CC", 1, 1), ("*c1ccc(*)cc1", 1, 1))
    ]
    assert [row["vector"] for row in rows] == [pytest.approx([size, 6]) for size in (23 / 3, 7.5, 8, 8)]
    assert [row["spread"] for row in rows] == pytest.approx([sqrt(2) / 3, 0.5, 0, 0])
    assert [[rows[2][f"nearest_{k}"], rows[2][f"distance_{k}"]] for k in (1, 2, 3)] == [
        *(["*c1ccc(*)cc1", 0], ["*C", pytest.approx(1 / 3)], ["*c1ccccc1", 0.5])
    ]
    spread = made.trained.spread
    assert (spread.motifs, spread.occurrences) == (2, 5)  # the other two occur once
    assert spread.within == pytest.approx(sqrt(7 / 30))
    assert spread.between == pytest.approx(sqrt(1 / 150))
    assert spread.ratio == pytest.approx(sqrt(35))
    assert spread.within**2 + spread.between**2 == pytest.approx(np.var([7, 8, 8, 7, 8]))
    assert made.codes == {"ok": 3, "PARSE": 1}
    assert sentences(made) == [
        "4 motifs, 7 times in 3 molecules; structures that are left out: 1 PARSE.",
        "Spread within a motif over spread between motifs: 5.916 (0.483 / 0.08165); with fresh weights 5.916. Of the "
        "2 motifs that occur twice or more.",
    ]


def test_a_vector_is_the_mean_over_the_atoms_of_the_motif() -> None:
    made = told(Size(None), ["COc1ccccc1"]).trained.motifs
    assert {token: one.mean.tolist() for token, one in made.items()} == {"*OC": [8, 7], "*c1ccccc1": [8, 6]}


def test_atoms_that_do_not_see_each_other_give_a_motif_one_vector(smiles: list[str]) -> None:
    spread = told(Size([1]), smiles).trained.spread  # elements alone
    assert spread.ratio == pytest.approx(0, abs=1e-12)
    assert spread.between > 0.1


def test_one_motif_has_no_neighbours_and_no_ratio() -> None:
    made = told(network(), ["CCO", "CCO"])
    (row,) = made.trained.table().to_pylist()
    assert [row[f"{what}_{k}"] for what in ("nearest", "distance") for k in (1, 2, 3)] == [None] * 6
    assert made.trained.spread.ratio is None
    assert made.summary()["spread"]["ratio"] is None
    assert sentences(made)[1:] == ["Fewer than two motifs occur twice, so no spread can be told."]
    single = told(network(), ["CC", "c1ccccc1"])
    assert (single.trained.spread.motifs, single.trained.spread.ratio) == (0, None)


def test_counts_are_those_of_tetramer_motifs(smiles: list[str], tmp_path: Path) -> None:
    texts = [*smiles, "C1CC", "[Na+].[Cl-].[Cl-]", "", "CC(=O)Oc1ccccc1C(=O)O"]
    (tmp_path / "in.csv").write_text("\n".join(["smiles", *(f'"{text}"' for text in texts)]) + "\n")
    job = decomposition.job(str(tmp_path / "in.csv"), str(tmp_path / "out.parquet"), Standard())
    with Reader(limits=Limits(0)) as reader:
        shards.apply(job, reader)
    lists = [row or [] for row in pq.read_table(tmp_path / "out.parquet")["motifs"].to_pylist()]
    often = Counter(token for row in lists for token in row)
    held = Counter(token for row in lists for token in set(row))
    made = told(network(), texts).trained
    assert {token: (one.occurrences, one.molecules) for token, one in made.motifs.items()} == {
        token: (often[token], held[token]) for token in often
    }
    assert made.motifs["[Cl-]"].occurrences == 2
    assert made.table()["motif"].to_pylist() == sorted(often, key=lambda token: (-often[token], token))


def test_contexts_are_those_of_each_molecule_alone(smiles: list[str]) -> None:
    """A slow twin: every molecule by itself, every motif by a loop."""
    encoder, found = network(), dict[str, list[np.ndarray]]()
    for text in smiles:
        molecule = parse(text)
        assert isinstance(molecule, Molecule)
        batch = to_tensors(graph.collate(graph.featurize([molecule]), np.arange(1)))
        with torch.inference_mode():
            atoms = encoder({"graph": batch}).tokens
        assert atoms is not None
        parts = partition(molecule)
        for number, token in enumerate(parts.tokens):
            found.setdefault(token, []).append(atoms.numpy()[parts.motif == number].mean(axis=0))
    made = told(encoder, smiles).trained.motifs
    assert made.keys() == found.keys()
    for token, vectors in found.items():
        centre = np.mean(vectors, axis=0)
        assert made[token].mean == pytest.approx(centre, abs=1e-5)
        assert made[token].spread == pytest.approx(sqrt(np.mean(np.sum((vectors - centre) ** 2, axis=1))), abs=1e-5)


def test_numbering_and_order_of_molecules_do_not_matter(smiles: list[str]) -> None:
    texts = [Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(text), 1, randomSeed=7)[0] for text in smiles]
    assert sum(text != plain for text, plain in zip(texts, smiles, strict=True)) > 40
    random.Random(1).shuffle(texts)
    first, second = (told(network(), some).trained.table() for some in (smiles, texts))
    assert first["motif"].equals(second["motif"])
    for name in ("spread", *(f"distance_{k}" for k in (1, 2, 3))):
        assert first[name].to_numpy() == pytest.approx(second[name].to_numpy(), abs=1e-5)
    vectors = [np.array(table["vector"].to_pylist()) for table in (first, second)]
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-5)


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=30), st.integers(1, 29), st.integers(0, 5))
def test_pieces_add_up_to_the_whole(tokens: list[str], cut: int, seed: int) -> None:
    """Far from zero, where a difference of squares would lose the spread."""
    vectors = np.random.default_rng(seed).normal(size=(len(tokens), 3)) + 1e6
    owner = np.arange(len(tokens)) // 2
    cut = min(2 * (cut // 2), len(tokens))  # between two molecules
    whole, pieces = Made(), Made()
    gather(whole, tokens, owner, vectors)
    for part in (slice(0, cut), slice(cut, None)):
        gather(pieces, tokens[part], owner[part], vectors[part])
    assert pieces.keys() == whole.keys()
    for token, one in whole.items():
        told = pieces[token]
        assert (told.occurrences, told.molecules) == (one.occurrences, one.molecules)
        assert told.mean == pytest.approx(one.mean, rel=1e-12)
        assert told.square == pytest.approx(one.square, abs=1e-6)
    assert np.isfinite(MotifVectors(ordered(whole)).spread.within)


def test_fresh_weights_are_always_the_same_and_disturb_nobody(smiles: list[str]) -> None:
    torch.manual_seed(9)
    before = torch.get_rng_state()
    encoder = network()
    torch.manual_seed(9)
    first, second = told(encoder, smiles[:20]), told(encoder, smiles[:20])
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(first.fresh.vectors, second.fresh.vectors)
    assert not np.allclose(first.fresh.vectors, first.trained.vectors)


def neural(encoder: str, config: dict[str, Any], seed: int) -> Fitted:
    settings, problem = NeuralConfig(encoder, config), Problem(REGRESSION, ("y",))
    return Fitted(Neural(settings, problem, build(settings, problem, seed)))


def test_networks_of_a_model_lie_side_by_side_and_others_are_left_out(smiles: list[str]) -> None:
    members = {
        "a.all-0": neural("mpnn", {"width": 8, "depth": 1}, 1),
        "b.all-0": neural("mlp", {"widths": [4]}, 2),
        "c.all-0": neural("mpnn", {"width": 5, "depth": 2}, 3),
    }
    problem = Problem(REGRESSION, ("y",))
    model = Model({}, problem, Standard(), members, np.ones((1, 3)) / 3)
    with Reader(limits=Limits(0)) as reader:
        made = motif_vectors(model, reader, smiles).trained.vectors
    assert made.shape[1] == 8 + 5
    for name, columns in (("a.all-0", slice(0, 8)), ("c.all-0", slice(8, None))):
        one: Any = members[name].member
        assert np.array_equal(made[:, columns], told(one.network.encoder, smiles).trained.vectors)


def test_the_graph_branch_of_a_fusion_is_taken(smiles: list[str]) -> None:
    branches = {"fingerprint": {"widths": [8]}, "graph": {"width": 8, "depth": 1}}
    fused = Fusion(FusionConfig(branches)).eval()
    branch: Any = fused.branches["graph"]
    assert graph_encoders(pretrained(fused)) == [(branch, "fp32")]
    assert np.array_equal(told(fused, smiles).trained.vectors, told(branch, smiles).trained.vectors)


def test_mistakes_are_told(smiles: list[str]) -> None:
    with pytest.raises(UserError, match=r"Motifs need a network on the graph.* the model has others \(smiles\)"):
        told(LSTM(LSTMConfig(width=8, depth=1, embedding=8)), smiles)
    trees = Model({}, Problem(REGRESSION, ("y",)), Standard(), {}, np.ones((1, 0)))
    with pytest.raises(UserError, match=r"the model has others \(no network\)"):
        graph_encoders(trees)
    with pytest.raises(UserError, match="2 of 3 structures were refused"):
        told(network(), ["CCO", "C1CC", ""], on_error="fail")
    assert told(network(), ["CCO", "C1CC", ""]).codes == {"ok": 1, "PARSE": 1, "EMPTY": 1}
    with pytest.raises(UserError, match="None of 2 structures can be read, so there are no motifs"):
        told(network(), ["C1CC", ""])
    with pytest.raises(UserError, match="There is no --on-error named 'hide'"):
        told(network(), ["CCO"], on_error="hide")
