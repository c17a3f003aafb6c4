"""What every encoder in the table promises, on molecules chosen to hurt."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem
from torch import Tensor

from tetramer.encoders import BRANCHES, ENCODERS, Encoder, Encoding
from tetramer.layers import to_tensors
from tetramer.molecules import Molecule, parse
from tetramer.views import VIEWS
from tetramer.views.base import Batch, Features, Settings
from tetramer.views.conformer import ConformerSettings
from tetramer.views.graph import GraphBatch

# one atom, no bond, fragments, charges, isotopes, radicals, a dummy, stereo of both kinds, rings, six bonds at one atom
HARD = """C O [H][H] [He] * [Na+].[Cl-] [2H]C([2H])[2H] [CH3] C[C@H](N)C(=O)O C[C@@H](N)C(=O)O F/C=C/F F/C=C\\F CCO
c1ccccc1C(=O)N F[P-](F)(F)(F)(F)F [O-][N+](=O)c1ccc2[nH]ccc2c1 CC(C)(C)C C1CC1 C12C3C4C1C5C2C3C45 [Fe+2] O=C=O C#N
CCCCCCCCCCCCCCCCCCCCCCCCCCCCCC OC1CCC(CC1)c1nc2ccccc2s1 [Cu]Br""".split()  # noqa: SIM905

SMALL = {
    "fingerprint": {"widths": [16]},
    "smiles": {"width": 16, "depth": 1, "heads": 2},
    "graph": {"width": 16},
    "conformer": {"width": 16, "depth": 1},
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp": ("mlp", {"widths": (32, 16)}),
    "mlp-counts": ("mlp", {"widths": (16,), "descriptors": False}),
    "mpnn": ("mpnn", {"width": 16}),
    "mpnn-deep": ("mpnn", {"width": 16, "depth": 6, "readout": "attention", "dropout": 0.2}),
    "mpnn-shallow": ("mpnn", {"width": 16, "depth": 1, "readout": "sum"}),
    "mpnn-mean": ("mpnn", {"width": 16, "aggregation": "mean", "readout": "mean"}),
    "mpnn-pna": ("mpnn", {"width": 16, "aggregation": "pna"}),
    "tag": ("tag", {"width": 16}),
    "tag-full": ("tag", {"width": 16, "features": "full", "bonds": True, "normalise": True}),
    "tag-deep": ("tag", {"width": 16, "depth": 3, "hops": 3, "bonds": True}),
    "tag-shallow": ("tag", {"width": 16, "depth": 1, "hops": 1, "features": "full", "bonds": True}),
    "gcn": ("tag", {"width": 16, "layer": "gcn"}),
    "gcn-full": ("tag", {"width": 16, "layer": "gcn", "depth": 4, "features": "full", "bonds": True}),
    "gat": ("tag", {"width": 16, "layer": "gat"}),
    "gat-full": ("tag", {"width": 32, "layer": "gat", "features": "full", "bonds": True}),
    "sage": ("tag", {"width": 16, "layer": "sage"}),
    "sage-full": ("tag", {"width": 16, "layer": "sage", "depth": 3, "features": "full", "bonds": True}),
    "gin": ("gin", {"width": 16}),
    "gin-deep": ("gin", {"width": 16, "depth": 5, "hidden": 1}),
    "gin-mean": ("gin", {"width": 16, "depth": 2, "readout": "mean", "normalise": False}),
    "transformer": ("transformer", {"width": 16, "depth": 2, "heads": 2}),
    "transformer-causal": ("transformer", {"width": 16, "depth": 1, "heads": 2, "causal": True, "pooling": "last"}),
    "transformer-published": ("transformer", {"width": 16, "depth": 2, "heads": 2, "pooling": "published"}),
    "lstm": ("lstm", {"width": 16, "depth": 2, "embedding": 8}),
    "egnn": ("egnn", {"width": 16, "depth": 2}),
    "egnn-moving": ("egnn", {"width": 16, "depth": 3, "coordinates": True, "radial": 8, "chirality": True}),
    "schnet": ("schnet", {"width": 16, "depth": 2, "filters": 16}),
    "painn": ("painn", {"width": 16, "depth": 2}),
    "painn-chiral": ("painn", {"width": 16, "depth": 2, "chirality": True, "dropout": 0.2}),
    "reaction-mpnn": ("reaction-mpnn", {"width": 16}),
    "reaction-tag": ("reaction-tag", {"width": 16, "features": "full", "bonds": True}),
    "reaction-gin": ("reaction-gin", {"width": 16}),
    "combining-mpnn": ("combining-mpnn", {"width": 16, "depth": 2}),
    "combining-egnn": ("combining-egnn", {"width": 16, "depth": 2}),
    "fusion": ("fusion", {"branches": SMALL, "base": "graph"}),
    "fusion-gated": ("fusion", {"branches": SMALL, "join": "gated", "width": 16}),
    "fusion-attention": ("fusion", {"branches": SMALL, "join": "attention", "width": 16}),
}
SPATIAL = [name for name, (kind, _) in CASES.items() if kind in BRANCHES["conformer"]]
GRAPHS = [name for name, (kind, _) in CASES.items() if kind in BRANCHES["graph"]]
FLAT = ("combining-mpnn", "tag", "tag-deep", "gcn", "gat", "sage")  # what they look at has no left and right
MIRRORED = [name for name in CASES if name not in (*SPATIAL, *FLAT) or "chirality" in CASES[name][1]]
UNSEEN = ("score.bias", "move.1.")  # a softmax does not see a shift, and nobody sees where the last layer moves atoms
Features_ = dict[str, Features]


def featurized(
    texts: list[str], views: Iterable[str] = tuple(VIEWS), settings: Mapping[str, Settings] | None = None
) -> Features_:
    molecules = [parse(text) for text in texts]
    assert all(isinstance(molecule, Molecule) for molecule in molecules)
    made = {name: (settings or {}).get(name, VIEWS[name].SETTINGS()) for name in views}
    return {name: VIEWS[name].featurize(molecules, settings=told) for name, told in made.items()}


@pytest.fixture(scope="module")
def hard() -> Features_:
    return featurized(HARD)


def lipophilicity(data_dir: Path) -> list[str]:
    with (data_dir / "moleculenet" / "Lipophilicity.csv").open() as lines:
        return [row["smiles"] for row in csv.DictReader(lines)]


@pytest.fixture(scope="module")
def drugs(data_dir: Path) -> Features_:
    """263 molecules; conformers, which take most of the time, are not optimised."""
    settings = {"conformer": ConformerSettings(optimise=False)}
    return featurized(lipophilicity(data_dir)[::16], settings=settings)


@pytest.fixture(scope="module")
def graphs(data_dir: Path) -> Features_:
    return featurized(lipophilicity(data_dir)[::8], ("graph",))  # 525 molecules


def made(case: str, features: Features_, dtype: torch.dtype = torch.float64) -> Encoder:
    torch.manual_seed(0)
    kind, settings = CASES[case]
    encoder = ENCODERS[kind](ENCODERS[kind].Config(**settings))
    encoder.fit_statistics(features, np.arange(len(features["graph"])))
    return encoder.eval().to(dtype)


def batches(encoder: Encoder, features: Features_, rows: Any, dtype: torch.dtype = torch.float64) -> dict[str, Batch]:
    rows = np.asarray(rows, dtype=np.int64)
    return {name: to_tensors(VIEWS[name].collate(features[name], rows), dtype=dtype) for name in encoder.views}


def by_size(encoder: Encoder, features: Features_, size: int, dtype: torch.dtype) -> Tensor:
    rows = np.arange(len(features["graph"]))
    parts = np.split(rows, range(size, len(rows), size))
    return torch.cat([encoder(batches(encoder, features, part, dtype)).molecule for part in parts])


def apart(a: Tensor, b: Tensor) -> float:
    """Largest difference as a share of the largest number."""
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-300))


@pytest.fixture(autouse=True)
def no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


every_case = pytest.mark.parametrize("case", CASES)


def test_every_encoder_of_the_table_is_swept() -> None:
    assert {kind for kind, _ in CASES.values()} == set(ENCODERS)


@pytest.mark.parametrize("name", ENCODERS)
def test_config_views_and_width(name: str) -> None:
    kind = ENCODERS[name]
    encoder = kind(kind.Config())
    assert set(encoder.views) <= set(VIEWS)
    assert kind.looks_at(kind.Config()) == encoder.views
    assert encoder.config == kind.Config()
    assert isinstance(encoder.width, int)
    with pytest.raises(TypeError):
        kind.Config(no_such_field=1)
    with pytest.raises(FrozenInstanceError):
        encoder.config.dropout = 0.5


@every_case
def test_shapes_and_finite_numbers(case: str, hard: Features_) -> None:
    encoder = made(case, hard)
    encoding = encoder(batches(encoder, hard, np.arange(len(HARD))))
    assert isinstance(encoding, Encoding)
    assert encoding.molecule.shape == (len(HARD), encoder.width)
    assert encoding.molecule.isfinite().all()
    if encoding.tokens is not None:
        view = encoder.views[-1]
        owner = VIEWS[view].collate(hard[view], np.arange(len(HARD))).owner
        assert encoding.tokens.shape == (len(owner), encoder.width)
        assert encoding.tokens.isfinite().all()


@every_case
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_batch_mates_do_not_matter(case: str, dtype: torch.dtype, bound: float, drugs: Features_) -> None:
    encoder = made(case, drugs, dtype)
    whole = by_size(encoder, drugs, 256, dtype)
    for size in (1, 2, 7, 64):
        assert apart(by_size(encoder, drugs, size, dtype), whole) <= bound


@every_case
def test_bf16_batches_agree(case: str, drugs: Features_) -> None:
    encoder = made(case, drugs, torch.float32)
    exact = by_size(encoder, drugs, 256, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        parts = [by_size(encoder, drugs, size, torch.float32) for size in (1, 7, 256)]
    for part in parts:
        assert apart(part.float(), exact) <= 2e-2
        assert torch.cosine_similarity(part.float(), exact).min() >= 0.9999


@every_case
def test_any_row_twice_and_in_any_order(case: str, hard: Features_) -> None:
    encoder = made(case, hard)
    rows = np.random.Generator(np.random.Philox(0)).integers(len(HARD), size=40)
    whole = encoder(batches(encoder, hard, np.arange(len(HARD)))).molecule
    assert apart(encoder(batches(encoder, hard, rows)).molecule, whole[rows]) <= 1e-12


def renumbered(batch: Any, rng: np.random.Generator) -> tuple[GraphBatch, Tensor]:
    """The same molecules with atoms, bonds and the two directions of each bond in another order; old atom → new."""
    owner = batch.owner.numpy()
    place = np.lexsort((rng.random(len(owner)), owner))  # new atom i was place[i]
    new = torch.from_numpy(np.argsort(place))
    pairs = rng.permutation(batch.edges.shape[1] // 2)
    edges = torch.from_numpy((2 * pairs[:, None] + np.array([[0, 1]]) ^ rng.integers(2, size=(len(pairs), 1))).ravel())
    moved = replace(batch, atoms=batch.atoms[place], edges=new[batch.edges[:, edges]], bonds=batch.bonds[edges])
    return moved, new


@pytest.mark.parametrize("case", GRAPHS)
def test_atom_order_does_not_matter(case: str, graphs: Features_, hard: Features_) -> None:
    rng = np.random.Generator(np.random.Philox(0))
    for features in (graphs, hard):
        encoder = made(case, features)
        views = batches(encoder, features, np.arange(len(features["graph"])))
        plain = encoder(views)
        for _ in range(2):
            moved, new = renumbered(views["graph"], rng)
            other = encoder({"graph": moved})
            assert apart(other.molecule, plain.molecule) <= 1e-10
            assert (plain.tokens is None) == (other.tokens is None) == bool(encoder.weights_of)
            if plain.tokens is not None and other.tokens is not None:
                assert apart(other.tokens[new], plain.tokens) <= 1e-10


@every_case
def test_every_spelling_of_a_molecule_is_one_molecule(case: str) -> None:
    plain = [text for text in HARD if "*" not in text]
    spellings = [
        Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(text), 10, randomSeed=7) for text in plain if len(text) > 3
    ]
    features = featurized([text for group in spellings for text in group])
    encoder = made(case, features)
    groups = encoder(batches(encoder, features, np.arange(10 * len(spellings)))).molecule.view(len(spellings), 10, -1)
    if set(encoder.views) <= {"fingerprint", "graph"}:
        assert torch.equal(groups, groups[:, :1].expand_as(groups))
    else:  # products of padded matrices round differently where the batch mates differ
        torch.testing.assert_close(groups, groups[:, :1].expand_as(groups), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", MIRRORED)
def test_mirror_images_differ(case: str, hard: Features_) -> None:
    encoder = made(case, hard)
    rows = [
        HARD.index("C[C@H](N)C(=O)O"),
        HARD.index("C[C@@H](N)C(=O)O"),
        HARD.index("F/C=C/F"),
        HARD.index("F/C=C\\F"),
    ]
    left, right, trans, cis = encoder(batches(encoder, hard, rows)).molecule
    bound = 1e-5 if "conformer" in encoder.views else 1e-3  # an untrained network hardly looks at a volume's sign
    assert apart(left, right) > bound
    assert apart(trans, cis) > bound


@every_case
def test_an_empty_batch_is_empty(case: str, hard: Features_) -> None:
    encoder = made(case, hard)
    encoding = encoder(batches(encoder, hard, []))
    assert encoding.molecule.shape == (0, encoder.width)


@pytest.mark.parametrize("case", GRAPHS)
def test_a_molecule_without_atoms_is_finite_and_disturbs_nobody(case: str, hard: Features_) -> None:
    encoder = made(case, hard)
    batch: Any = batches(encoder, hard, [3, 5])["graph"]
    gap = replace(batch, size=4, owner=batch.owner * 2 + 1)  # molecules 0 and 2 have no atoms
    encoding, plain = encoder({"graph": gap}), encoder({"graph": batch})
    torch.testing.assert_close(encoding.molecule[[1, 3]], plain.molecule, rtol=1e-12, atol=0)
    assert not encoding.molecule[[0, 2]].any()


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_answer_has_the_type_of_the_weights(case: str, dtype: torch.dtype, hard: Features_) -> None:
    encoder = made(case, hard, dtype)
    assert encoder(batches(encoder, hard, [0, 1], dtype)).molecule.dtype == dtype


@every_case
def test_every_parameter_learns_and_stays_finite(case: str, hard: Features_) -> None:
    encoder = made(case, hard)
    for parameter in encoder.parameters():
        if not parameter.any():  # what starts as zero lets nothing through yet
            parameter.normal_(std=0.1)
    with torch.enable_grad():
        encoder(batches(encoder, hard, np.arange(len(HARD)))).molecule.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        seen = not name.startswith(UNSEEN)
        assert parameter.grad is not None or not seen, name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
        assert not seen or parameter.grad.any(), name


@every_case
def test_dropout_obeys_the_seed_and_is_off_in_evaluation(case: str, hard: Features_) -> None:
    encoder = made(case, hard)
    views = batches(encoder, hard, np.arange(len(HARD)))

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        answer: Tensor = encoder(views).molecule
        return answer

    assert torch.equal(drawn(1), drawn(2))
    encoder.train()
    assert torch.equal(drawn(1), drawn(1))
    drops = getattr(encoder.config, "dropout", 0) or getattr(encoder.config, "absent", 0)
    assert torch.equal(drawn(1), drawn(2)) == (not drops)


@every_case
def test_weights_and_statistics_travel_together(case: str, hard: Features_) -> None:
    encoder = made(case, hard, torch.float32)
    again = type(encoder)(encoder.config)
    again.load_state_dict(encoder.state_dict(), strict=True)
    views = batches(encoder, hard, np.arange(len(HARD)), torch.float32)
    assert torch.equal(again.eval()(views).molecule, encoder(views).molecule)


@every_case
@pytest.mark.parametrize("poison", [1e30, np.nan])
def test_statistics_see_training_rows_only(case: str, poison: float, hard: Features_) -> None:
    """Sentinels in the other rows change nothing, bit for bit."""
    train = np.arange(0, len(HARD), 2)

    def state(features: Features_) -> dict[str, Tensor]:
        torch.manual_seed(0)
        encoder = type(made(case, hard))(made(case, hard).config)
        encoder.fit_statistics(features, train)
        return dict(encoder.named_buffers())

    spoilt = {}
    for name, features in hard.items():
        wide = [field.name for field in fields(features) if getattr(features, field.name).dtype.kind == "f"]
        columns = {column: getattr(features, column).copy() for column in wide}
        for column in columns.values():
            column[1::2] = poison
        spoilt[name] = replace(features, **columns)
    clean, other = state(hard), state(spoilt)
    assert all(torch.equal(clean[name], other[name]) for name in clean)


@every_case
def test_threads_do_not_matter(case: str, drugs: Features_) -> None:
    encoder = made(case, drugs, torch.float32)
    answers = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answers.append(by_size(encoder, drugs, 64, torch.float32))
    assert apart(*answers) <= 1e-5
