"""The study's own networks: parameter counts, features by hand, what means cannot tell, and what may not matter."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom
from torch import Tensor, nn

from tetramer.encoders.combining import CombiningEGNN, CombiningMPNN, node_features
from tetramer.errors import UserError
from tetramer.layers import to_tensors
from tetramer.layers.mlp import mlp
from tetramer.layers.tensors import to_dense
from tetramer.molecules import Limits, Molecule, parse
from tetramer.views import Reader, conformer, graph
from tetramer.views.base import Batch
from tetramer.views.conformer import ConformerBatch, ConformerSettings

TEXTS = ["CC(=O)N", "O", "C#N", "c1ccoc1", "FC"]


def batches(texts: list[str]) -> dict[str, Any]:
    """Graphs and one geometry of each, in float64."""
    molecules = [told for told in map(parse, texts) if isinstance(told, Molecule)]
    numbers: list[int] = []
    places: list[np.ndarray] = []
    owner: list[int] = []
    for row, molecule in enumerate(molecules):
        whole = Chem.AddHs(molecule.mol)
        assert rdDistGeom.EmbedMolecule(whole, randomSeed=7) == 0
        numbers += [atom.GetAtomicNum() for atom in whole.GetAtoms()]
        places.append(whole.GetConformer().GetPositions())
        owner += [row] * whole.GetNumAtoms()
    cloud = ConformerBatch(
        size=len(texts), ok=np.ones(len(texts), bool), numbers=np.array(numbers), charges=np.zeros(len(numbers), int),
        positions=np.concatenate(places), owner=np.array(owner), molecule=np.arange(len(texts)),
    )  # fmt: skip
    flat = graph.collate(graph.featurize(molecules), np.arange(len(texts)))
    return {"graph": to_tensors(flat), "conformer": to_tensors(cloud)}


def made(kind: Any, **settings: int) -> Any:
    torch.manual_seed(0)
    return kind(kind.Config(**settings)).eval().double()


def size(encoder: nn.Module, widths: tuple[int, ...]) -> int:
    return sum(part.numel() for module in (encoder, mlp(256, widths, 1)) for part in module.parameters())


def test_the_published_numbers_of_parameters() -> None:
    assert size(CombiningMPNN(CombiningMPNN.Config()), ()) == 1_592_577
    assert size(CombiningEGNN(CombiningEGNN.Config()), (256,)) == 1_915_397


def test_atoms_by_hand() -> None:
    flat = batches(["CC(=O)N"])["graph"]
    told = node_features(flat.atoms, torch.float64)
    numbers = flat.atoms[:, 0].tolist()
    #                H C N O F  number aromatic sp sp2 sp3 hydrogens
    assert told[numbers.index(7)].tolist() == [0, 0, 1, 0, 0, 7, 0, 0, 1, 0, 2]
    assert told[numbers.index(8)].tolist() == [0, 0, 0, 1, 0, 8, 0, 0, 1, 0, 0]
    assert [0, 1, 0, 0, 0, 6, 0, 0, 0, 1, 3] in told.tolist()


@torch.no_grad()
def test_a_geometry_has_the_bonds_of_its_graph_and_of_its_hydrogens() -> None:
    views = batches(TEXTS)
    egnn = made(CombiningEGNN, width=8, depth=1)
    x, mask = to_dense(views["conformer"].positions, views["conformer"].owner, len(TEXTS))
    bonds = egnn.bonds(views["graph"], views["conformer"], x, mask)
    assert torch.equal(bonds, bonds.transpose(1, 2))
    for row, text in enumerate(TEXTS):
        whole = Chem.AddHs(Chem.MolFromSmiles(text))
        wanted = [0.0] * 4
        for bond in whole.GetBonds():
            wanted[{1.0: 0, 2.0: 1, 3.0: 2, 1.5: 3}[bond.GetBondTypeAsDouble()]] += 2
        assert bonds[row].sum((0, 1)).tolist() == wanted


@pytest.mark.parametrize("kind", [CombiningMPNN, CombiningEGNN])
@torch.no_grad()
def test_batch_mates_do_not_matter_and_a_lost_geometry_gives_zeros(kind: Any) -> None:
    encoder, views = made(kind, width=16, depth=2), batches(TEXTS)
    whole = encoder(views).molecule
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(encoder(batches([text])).molecule[0], whole[row], rtol=1e-10, atol=1e-12)
    if kind is CombiningEGNN:
        cloud = views["conformer"]
        kept = cloud.owner != 1
        owner = cloud.owner[kept] - (cloud.owner[kept] > 1).long()
        less = replace(
            cloud, numbers=cloud.numbers[kept], charges=cloud.charges[kept], positions=cloud.positions[kept],
            owner=owner, molecule=torch.tensor([0, 2, 3, 4]), ok=cloud.molecule != 1,
        )  # fmt: skip
        told = encoder(views | {"conformer": less}).molecule
        assert not told[1].any()
        torch.testing.assert_close(told[[0, 2, 3, 4]], whole[[0, 2, 3, 4]], rtol=1e-10, atol=1e-12)


def put_end_to_end(egnn: Any, views: dict[str, Any]) -> Tensor:
    """The published equations as they are written: one molecule at a time, every pair of atoms a long vector."""
    graph, cloud, out = views["graph"], views["conformer"], []
    node = egnn.atoms(graph, cloud, torch.float64)
    x, mask = to_dense(cloud.positions, cloud.owner, len(cloud.molecule))
    bonds = egnn.bonds(graph, cloud, x, mask)
    for row in range(len(cloud.molecule)):
        atoms = int(mask[row].sum())
        h, places, bond = egnn.input(node[cloud.owner == row]), x[row, :atoms], bonds[row, :atoms, :atoms]
        for edge, update, move in zip(egnn.edge, egnn.node, egnn.move, strict=True):
            arrived, moved = [], []
            for i in range(atoms):
                others = [j for j in range(atoms) if j != i]
                gap = places[i] - places[others]
                square = gap.square().sum(1, keepdim=True)
                m = torch.nn.functional.silu(
                    edge(torch.cat([h[i].expand(len(others), -1), h[others], square, bond[i, others]], 1))
                )
                arrived.append(m.sum(0))
                moved.append(places[i] + (gap / (1 + (square + 1e-12).sqrt()) * move(m)).sum(0) / max(1, len(others)))
            h, places = h + update(torch.cat([h, torch.stack(arrived)], 1)), torch.stack(moved)
        out.append(h.mean(0))
    return torch.stack(out)


def test_the_fast_form_is_the_published_one_with_its_gradients() -> None:
    """Molecules of several sizes, so that there are several blocks; the same weights, and the same start."""
    egnn, views = made(CombiningEGNN, width=16, depth=3), batches(TEXTS)
    for move in egnn.move:
        nn.init.xavier_uniform_(move[-1].weight)  # let atoms move far enough to be seen
    probe = torch.randn(len(TEXTS), 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    told = []
    for answer in (put_end_to_end(egnn, views), egnn(views).molecule):
        egnn.zero_grad()
        (answer * probe).sum().backward()
        told.append([answer.detach(), *(one.grad.clone() for one in egnn.parameters() if one.grad is not None)])
    assert len(told[0]) == len(told[1])
    for slow, fast in zip(*told, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_turning_moving_and_mirroring_change_nothing() -> None:
    encoder, views = made(CombiningEGNN, width=16, depth=3), batches(TEXTS)
    for move in encoder.move:
        nn.init.xavier_uniform_(move[-1].weight)  # let atoms move far enough to be seen
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    cloud = views["conformer"]

    def told(positions: Tensor) -> Tensor:
        answer: Tensor = encoder(views | {"conformer": replace(cloud, positions=positions)}).molecule
        return answer

    whole = told(cloud.positions)
    for moved in (cloud.positions @ turn.T + 5, -cloud.positions):
        torch.testing.assert_close(told(moved), whole, rtol=1e-9, atol=1e-10)
    assert not torch.allclose(told(1.1 * cloud.positions), whole)


@torch.no_grad()
def test_means_cannot_count() -> None:
    """Ring carbons of benzene and of cyclopropene's big sisters: equal atoms, another number of them, one vector."""
    encoder = made(CombiningMPNN, width=16, depth=2)
    views: dict[str, Batch] = batches(["C1CCCCC1", "C1CCCCCCC1"])
    six, eight = encoder({"graph": views["graph"]}).molecule
    torch.testing.assert_close(six, eight)


def test_one_atom_is_no_batch_of_its_own() -> None:
    """Methane among the training rows: a batch of one atom has no variance, so it takes what the others have left."""
    torch.manual_seed(0)
    encoder: nn.Module = CombiningMPNN(CombiningMPNN.Config(width=8, depth=1))
    molecules = [parse("CCO"), parse("C")]
    with torch.no_grad():
        encoder({"graph": to_tensors(graph.collate(graph.featurize(molecules), np.array([0])))})
        told = encoder({"graph": to_tensors(graph.collate(graph.featurize(molecules), np.array([1])))}).molecule
    assert told.isfinite().all()


def test_several_conformers_are_an_error() -> None:
    with Reader(limits=Limits(0), settings={"conformer": ConformerSettings(2)}) as reader:
        made: Any = reader.read(["CCCCCCO"], ["graph", "conformer"]).features
    views = {
        "graph": to_tensors(graph.collate(made["graph"], np.array([0]))),
        "conformer": to_tensors(conformer.collate(made["conformer"], np.array([0]))),
    }
    with pytest.raises(UserError, match="this network of a published study takes one"):
        CombiningEGNN(CombiningEGNN.Config(width=8, depth=1))(views)
