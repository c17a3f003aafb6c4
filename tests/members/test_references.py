"""What an extensive target is first: exact sums, fits that travel, and what is not known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tetramer.checkpoint import pack, unpack
from tetramer.errors import UserError
from tetramer.members.base import atom_counts
from tetramer.members.offsets import Mixed, learned, offset_from
from tetramer.members.references import Composition, Histograms, Pieces, extensive
from tetramer.molecules import Limits
from tetramer.molecules.conformers import NOTES
from tetramer.training import Data, epoch_order
from tetramer.views import VIEWS, Reader, pieces
from tetramer.views.base import take
from tetramer.views.conformer import ConformerFeatures, ConformerSettings
from tetramer.views.read import joined

ORDER = epoch_order(0, 0, 80)
TRAIN, REST = np.sort(ORDER[:60]), np.sort(ORDER[60:])
FITS = {"atoms": Composition, "pieces": Pieces, "histograms": Histograms}


def data(features: dict[str, Any], values: np.ndarray) -> Data:
    return Data(features, values, np.zeros(values.shape, np.int8), np.ones(len(values)))


@pytest.fixture
def bonds(features: dict[str, Any]) -> np.ndarray:
    """(80, 1) a sum over bonds: what atoms alone do not tell."""
    table = pieces.bonds(features["graph"]).toarray()
    return (table @ np.linspace(-300.0, 50.0, table.shape[1]))[:, None]


def test_a_sum_over_pieces_is_extensive_where_the_graph_is_read(features: dict[str, Any]) -> None:
    """Atoms explain most of it, not enough; what is of a molecule's atoms on average is not extensive, nor is noise."""
    every, table = np.arange(80), pieces.bonds(features["graph"]).toarray()
    size = atom_counts(features, every).sum(axis=1)
    whole = table @ np.random.Generator(np.random.Philox(1)).normal(-3.0, 10.0, table.shape[1])
    noise = np.random.Generator(np.random.Philox(2)).normal(size=80)
    told = data(features, np.stack([whole, whole / size, noise], axis=1))
    assert extensive(told, every) == (True, False, False)
    assert extensive(replace(told, features={"fingerprint": features["fingerprint"]}), every) == (False, False, False)
    few = np.arange(49)
    assert extensive(told, few) == (False, False, False)


@pytest.mark.parametrize("kind", ["pieces", "histograms"])
def test_a_sum_over_bonds_is_recovered(features: dict[str, Any], bonds: np.ndarray, kind: str) -> None:
    """By the graph but for bonds that occur once; distances tell most of them, and atoms alone few."""
    offset, rest = learned([kind], data(features, bonds), TRAIN)
    _, left = learned(["atoms"], data(features, bonds), TRAIN)
    assert isinstance(offset, FITS[kind])
    told = offset(features, REST)
    share = np.abs(rest[REST]).mean() / np.abs(left[REST]).mean()
    assert share < (0.02 if kind == "pieces" else 0.25)
    if kind == "pieces":
        assert np.median(np.abs(rest[REST])) < 1e-3
    assert rest[REST] == pytest.approx(bonds[REST] - told)


@pytest.mark.parametrize("kind", ["pieces", "histograms"])
def test_what_is_left_over_is_that_of_a_fit_without_the_row(
    features: dict[str, Any], bonds: np.ndarray, kind: str
) -> None:
    """Noise that only one row has is left over nearly whole; the sum over atoms alone is fitted with the row."""
    noise = np.zeros_like(bonds)
    noise[TRAIN[5]] = 1e4
    _, clean = learned([kind], data(features, bonds), TRAIN)
    offset, rest = learned([kind], data(features, bonds + noise), TRAIN)
    assert rest[TRAIN[5], 0] > 8e3
    seen = (bonds + noise - offset(features, np.arange(80)))[TRAIN[5], 0]
    assert seen < rest[TRAIN[5], 0]
    assert np.abs(clean[TRAIN]).max() < 1e3


@pytest.mark.parametrize("kind", FITS)
def test_a_file_is_the_fit(features: dict[str, Any], bonds: np.ndarray, kind: str) -> None:
    values = np.concatenate([bonds, np.where(np.arange(80)[:, None] % 3, 2 * bonds, np.nan)], axis=1)
    offset, rest = learned([kind] * 2, data(features, values), TRAIN)
    again = offset_from(offset.file(), 2)
    assert type(again) is type(offset)
    assert np.array_equal(again(features, REST), offset(features, REST))
    assert np.isnan(rest[3, 1])
    assert np.isfinite(rest[TRAIN, 0]).all()


@pytest.mark.parametrize("kind", ["pieces", "histograms"])
def test_an_element_that_nobody_measured_has_no_energy(features: dict[str, Any], bonds: np.ndarray, kind: str) -> None:
    chlorine = atom_counts(features, np.arange(80))[:, 17] > 0
    rows = np.flatnonzero(~chlorine)
    offset, _ = learned([kind], data(features, bonds), rows)
    told = offset(features, np.arange(80))[:, 0]
    assert np.isnan(told[chlorine]).all()
    assert np.isfinite(told[~chlorine]).all()
    assert chlorine.any()


def test_a_molecule_without_places_has_what_its_pieces_say(features: dict[str, Any], bonds: np.ndarray) -> None:
    offset, _ = learned(["histograms"], data(features, bonds), TRAIN)
    assert isinstance(offset, Histograms)
    conformers = features["conformer"]
    ok = conformers.ok.copy()
    ok[REST[0]] = 0
    without = features | {"conformer": replace(conformers, ok=ok)}
    told = offset(without, REST)
    assert told[0] == offset.pieces(features, REST[:1])[0]
    assert np.array_equal(told[1:], offset(features, REST)[1:])
    assert told[0] != offset(features, REST[:1])[0]
    notes = conformers.notes.copy()
    notes[REST[0]] = NOTES.index("CONF_2D")  # a drawing is no geometry either
    assert np.array_equal(offset(features | {"conformer": replace(conformers, notes=notes)}, REST), told)


def test_the_first_conformer_is_looked_at_and_not_how_it_lies(bonds: np.ndarray, smiles: list[str]) -> None:
    settings = {"conformer": ConformerSettings(3)}
    with Reader(limits=Limits(0), settings=settings) as reader:
        several = joined(list(reader.stream(smiles, list(VIEWS)))).features
    offset, _ = learned(["histograms"], data(several, bonds), TRAIN)
    features = several["conformer"]
    assert isinstance(features, ConformerFeatures)
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    turned = replace(features, positions=features.positions @ turn + np.float32(3.0))
    assert offset(several | {"conformer": turned}, REST) == pytest.approx(offset(several, REST), rel=1e-4)
    assert take(features, REST).geometry_starts[-1] > len(REST)  # there are several of some


@pytest.mark.parametrize("kind", ["pieces", "histograms"])
def test_arrays_that_do_not_fit_are_refused(features: dict[str, Any], bonds: np.ndarray, kind: str) -> None:
    arrays = unpack(learned([kind], data(features, bonds), TRAIN)[0].file(), "offset")
    for name in ("weights", "constant", *(["rings"] if kind == "pieces" else [])):
        for spoilt in (arrays | {name: arrays[name][:-1]}, {key: one for key, one in arrays.items() if key != name}):
            with pytest.raises(UserError, match="do not fit"):
                offset_from(pack(spoilt), 1)
    with pytest.raises(UserError, match="do not fit"):
        offset_from(pack(arrays), 2)


def test_every_target_has_its_own_fit(features: dict[str, Any], bonds: np.ndarray) -> None:
    """The very numbers of the fits by themselves; a target without one stays as it is."""
    values = bonds * np.array([1.0, -2.0, 0.5, 3.0]) + np.array([0.0, 5.0, 0.0, 7.0])
    kinds = ["pieces", "", "trend", "pieces"]
    offset, rest = learned(kinds, data(features, values), TRAIN)
    assert isinstance(offset, Mixed)
    assert set(offset.views) == {"graph", "fingerprint"}
    for target, kind in enumerate(kinds):
        if kind:
            own, left = learned([kind], data(features, values[:, [target]]), TRAIN)
            assert offset(features, REST)[:, target] == pytest.approx(own(features, REST)[:, 0], rel=1e-12)
            assert rest[:, target] == pytest.approx(left[:, 0], rel=1e-9, abs=1e-9)
    assert not offset(features, REST)[:, 1].any()
    assert np.array_equal(rest[:, 1], values[:, 1])
    again = offset_from(offset.file(), 4)
    assert isinstance(again, Mixed)
    assert np.array_equal(again(features, REST), offset(features, REST))
    arrays = unpack(offset.file(), "offset")
    for name in ("0:targets", "1:weights"):
        with pytest.raises(UserError, match="do not fit"):
            offset_from(pack({key: one for key, one in arrays.items() if key != name}), 4)
    with pytest.raises(UserError, match="do not fit"):
        offset_from(pack(arrays), 3)


def test_atoms_of_an_element_that_nobody_measured_have_no_energy(features: dict[str, Any], bonds: np.ndarray) -> None:
    counts = atom_counts(features, np.arange(80))
    halogen = counts[:, 17] > 0
    fit = Composition.fit(data(features, np.where(halogen[:, None], np.nan, bonds)), np.flatnonzero(~halogen))
    told = fit(features, np.arange(80))[:, 0]
    assert halogen.any()
    assert np.array_equal(np.isnan(told), halogen | (counts[:, ~counts[~halogen].any(axis=0)] > 0).any(axis=1))
    again = offset_from(fit.file(), 1)
    np.testing.assert_array_equal(again(features, np.arange(80))[:, 0], told)


def test_an_element_without_any_geometry_has_what_its_pieces_say(features: dict[str, Any], bonds: np.ndarray) -> None:
    """Chlorine is known from graphs alone: its distances are no columns, and no others stand for them."""
    counts = atom_counts(features, np.arange(80))
    halogen = counts[:, 17] > 0
    lost = replace(features["conformer"], ok=np.where(halogen, 0, features["conformer"].ok).astype(np.uint8))
    fit, _ = Histograms.fit(data(features | {"conformer": lost}, bonds), np.arange(80))
    told, alone = fit(features, np.arange(80)), fit.pieces(features, np.arange(80))
    np.testing.assert_array_equal(told[halogen], alone[halogen])
    for row in np.flatnonzero(~halogen)[:5]:
        assert fit(features, np.array([row]))[0] == pytest.approx(told[row], rel=1e-9)
