"""Keys of kinship: published InChIKeys, what the first block forgets, and molecules without one."""

import pytest

from tetramer.errors import UserError
from tetramer.molecules import Limits
from tetramer.molecules import keys as module
from tetramer.molecules.keys import KEYS, first_block, job, keys, ring_scaffold

HERE = Limits(0)


@pytest.mark.parametrize(
    ("smiles", "block"),
    [
        ("C", "VNWKTOKETHGBQD"),  # methane, ethanol, aspirin and caffeine as PubChem has them
        ("CCO", "LFQSCWFLJHTTHZ"),
        ("CC(=O)Oc1ccccc1C(=O)O", "BSYNRYMUTXBXSQ"),
        ("Cn1c(=O)c2c(ncn2C)n(C)c1=O", "RYYVLZVUVIJVGH"),
    ],
)
def test_published_keys(smiles: str, block: str) -> None:
    assert first_block(smiles) == block


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C[C@H](N)O", "C[C@@H](N)O"),
        ("C/C=C/C", "C/C=C\\C"),
        ("[13CH4]", "C"),
        ("Oc1ccccn1", "O=c1cccc[nH]1"),
        ("CC(=O)O", "CC(=O)[O-]"),
    ],
)
def test_stereo_isotope_tautomer_and_proton_do_not_matter(one: str, other: str) -> None:
    assert first_block(one) == first_block(other) != ""


@pytest.mark.parametrize(("one", "other"), [("CCO", "COC"), ("OC=CC", "O=CCC"), ("C[N+](C)(C)C", "CN(C)C")])
def test_other_molecules_have_other_keys(one: str, other: str) -> None:
    assert first_block(one) != first_block(other)


@pytest.mark.parametrize("smiles", ["*CC", "C1CC", "C" * 1_100, ""])
def test_no_key_where_there_is_no_inchi(smiles: str) -> None:
    assert first_block(smiles) == ""


def test_scaffolds_of_bad_text_are_empty() -> None:
    assert (ring_scaffold("C1CC1C"), ring_scaffold("C1CC")) == ("C1CC1", "")


@pytest.mark.parametrize("workers", [0, 1])
def test_many_keys_in_order_equal_texts_once(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["CCO", "", "CCCl", "CCO", "*C"]
    assert keys(texts, limits=Limits(workers)) == [first_block(text) if text else "" for text in texts]
    asked: list[str] = []
    monkeypatch.setitem(module.KEYS, "skeleton", lambda text: asked.append(text) or text.lower())
    assert keys(texts, limits=HERE) == ["cco", "", "cccl", "cco", "*c"]
    assert asked == ["CCO", "CCCl", "*C"]


def test_more_than_one_chunk_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 7)
    texts = ["C" * size for size in range(1, 100)]
    assert keys(texts, limits=HERE) == [first_block(text) for text in texts]
    assert keys([f"{text}C1CC1" for text in texts], "scaffold", HERE) == ["C1CC1"] * 99


def test_no_texts_and_unknown_kinds() -> None:
    assert keys([], limits=HERE) == [] == keys([], limits=Limits(1))
    with pytest.raises(UserError, match=r"kind of key named 'skeletons'\. Did you mean 'skeleton'"):
        keys(["C"], "skeletons", HERE)
    assert set(KEYS) == {"skeleton", "scaffold"}


def test_the_job_says_where_it_is() -> None:
    places: list[int] = []
    assert job(["C", "", "CC"], {"kind": "scaffold"}, places.append) == b'["", "", ""]'
    assert places == [0, 1, 2, -1]
