"""The SMILES view: the rules of the notation as tokens, and spellings of one molecule."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from tetramer.errors import UserError
from tetramer.molecules import Molecule, parse
from tetramer.views import base, smiles
from tetramer.views.smiles import BEGIN, END, MASK, NUMBER, PAD, UNKNOWN, VOCABULARY, SmilesFeatures, SmilesSettings

TEXTS = ["CCO", "O", "refused", "[Na+].[Cl-]", "c1ccccc1C(=O)N", "[2H]O[2H]", "C[C@H](N)C(=O)O", "refused", "F/C=C/F"]
ORGANIC = {"B": 3, "C": 4, "N": 3, "O": 2, "P": 3, "S": 2, "F": 1, "Cl": 1, "Br": 1, "I": 1}
FILES = ("chembl_78k", "pubchem_100k", "zinc250k", "zinc_natural_products_50k")


def molecules(texts: Sequence[str]) -> list[Molecule | None]:
    return [told if isinstance(told := parse(text), Molecule) else None for text in texts]


def featurized(texts: Sequence[str], **settings: int) -> SmilesFeatures:
    return smiles.featurize(molecules(texts), settings=SmilesSettings(**settings))


VARIED = featurized(TEXTS, variants=4)
rows_of = st.lists(st.integers(0, len(TEXTS) - 1), max_size=12).map(lambda rows: np.array(rows, dtype=np.int64))


def texts_of(features: SmilesFeatures, row: int) -> list[str]:
    """All spellings of a molecule, by a loop."""
    start, written = int(features.token_starts[row]), []
    for length in features.lengths[row].tolist():
        written.append(smiles.decode(features.tokens[start : start + length]))
        start += length
    assert start == features.token_starts[row + 1]
    return written


def equal(one: SmilesFeatures, other: SmilesFeatures) -> None:
    for name in (*one.COLUMNS, "token_starts"):
        before, after = getattr(one, name), getattr(other, name)
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "text, tokens",
    [
        ("[Au]", "[Au]"),
        ("[Sc]", "[Sc]"),
        ("C[13C@@H](N)[O-]", "C [13C@@H] ( N ) [O-]"),
        ("O=C=O", "O = C = O"),
        ("C#N", "C # N"),
        ("[Mo]$[Mo]", "[Mo] $ [Mo]"),
        ("N->[Pt]<-N", "N -> [Pt] <- N"),
        ("ClCBr", "Cl C Br"),
        ("c1cc[nH]c1", "c 1 c c [nH] c 1"),
        ("c1ccccc1-c1ccccc1", "c 1 c c c c c 1 - c 1 c c c c c 1"),
        ("C%10CC%10", "C %10 C C %10"),
        ("C%12CC%(100)", "C %12 C C %(100)"),
        ("F/C=C\\F", "F / C = C \\ F"),
        ("C[C@@H](N)O", "C [C@@H] ( N ) O"),
        ("[Na+].[Cl-]", "[Na+] . [Cl-]"),
        ("*C~C", "* C ~ C"),
        ("C[C", "C [ C"),
        ("", ""),
    ],
)
def test_tokens_by_hand(text: str, tokens: str) -> None:
    assert smiles.split(text) == tokens.split()


@pytest.mark.parametrize(
    "text, tokens",
    [
        ("[13C@@H]", "[ 1 3 C @@ H ]"),
        ("[Sc+3]", "[ Sc + 3 ]"),
        ("[teH+]", "[ te H + ]"),
        ("[Pt@SP1]", "[ Pt @SP 1 ]"),
        ("%12", "% 1 2"),
        ("[nH]", "[nH]"),
        ("Sc", "S c"),  # sulfur and an aromatic carbon
    ],
)
def test_rare_tokens_are_put_together_from_pieces(text: str, tokens: str) -> None:
    assert [VOCABULARY[number] for number in smiles.encode(text)] == tokens.split()


@pytest.mark.parametrize("element, hydrogens", list(ORGANIC.items()))
def test_the_organic_subset_needs_no_brackets_and_implies_hydrogens(element: str, hydrogens: int) -> None:
    """O is water."""
    count = "" if hydrogens == 1 else hydrogens
    features = featurized([element, f"[{element}H{count}]"])
    assert [texts_of(features, row) for row in (0, 1)] == [[element], [element]]
    assert features.tokens.tolist() == [NUMBER[element]] * 2
    (atom,) = Chem.MolFromSmiles(element).GetAtoms()
    assert atom.GetTotalNumHs() == hydrogens


def test_the_vocabulary_never_changes_unseen() -> None:
    """A model knows tokens by their numbers: whoever changes these makes every stored model wrong."""
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 274
    assert [VOCABULARY[number] for number in (PAD, UNKNOWN, END, BEGIN, MASK)] == list(smiles.SPECIAL)
    assert smiles.VOCABULARY_HASH == "ca26cda81d146d1246a16f3640a333a2ead01a4376b6ed1abb2e2b220643a0b9"


def test_every_element_has_a_token() -> None:
    table = Chem.GetPeriodicTable()
    assert smiles.ELEMENTS.split() == [table.GetElementSymbol(number) for number in range(1, 119)]


@given(st.text())
def test_tokens_joined_are_the_text_whatever_it_is(text: str) -> None:
    assert "".join(smiles.split(text)) == text


# Any tokens in any order, inside brackets any pieces.
SINGLE = [token for token in NUMBER if token in ORGANIC or (not token[0].isupper() and len(token) == 1)]
OUTSIDE = [token for token in (*SINGLE, *smiles.FREQUENT.split()) if token not in "[]"]
INSIDE = [piece for piece in NUMBER if piece[0] not in "[]%" and piece not in ("as", "se", "si", "te", "->", "<-")]
bracketed = st.lists(st.sampled_from(INSIDE)).map(lambda pieces: f"[{''.join(pieces)}]")


@given(st.lists(st.sampled_from(OUTSIDE) | bracketed).map("".join))
def test_what_the_vocabulary_spells_is_spelt_back(text: str) -> None:
    numbers = smiles.encode(text)
    assert UNKNOWN not in numbers
    assert smiles.decode(numbers) == text


@given(st.text())
def test_a_strange_character_is_one_unknown_token(text: str) -> None:
    known = set("".join(NUMBER))
    assert smiles.encode(text).count(UNKNOWN) >= sum(character not in known for character in text)
    assert not set(smiles.encode(text)) & {PAD, END, BEGIN, MASK}


def test_unknown_tokens_are_counted() -> None:
    strange = [Molecule("C\u00e9C\u00e9", Chem.MolFromSmiles("CC"), np.arange(2)), *molecules(["CC", "refused"])]
    assert smiles.unknown(smiles.featurize(strange), np.array([2, 0, 1, 0])).tolist() == [0, 2, 0, 2]


def test_real_molecules_come_back_and_nothing_is_unknown(data_dir: Path) -> None:
    texts: list[str] = []
    for name in FILES:
        with gzip.open(data_dir / "pretrain" / f"{name}.smi.gz", "rt") as file:
            texts += [line.split()[0] for line in file][:: 120 if name != "zinc250k" else 400]
    read = [one for one in molecules(texts) if one is not None]
    assert len(read) > 2400
    features = smiles.featurize(read)
    assert [texts_of(features, row) for row in range(len(read))] == [[one.smiles] for one in read]
    assert not smiles.unknown(features, np.arange(len(read))).any()
    whole = sum(all(token in NUMBER for token in smiles.split(one.smiles)) for one in read)
    assert whole > 0.998 * len(read)


def test_variants_are_other_spellings_of_the_same_molecule(data_dir: Path) -> None:
    hard = ["[Cu]Br", "C[S@](=O)CC", "C12C3C4C1C5C2C3C45", "N->[Pt](Cl)(Cl)<-N", "F/C=C/C=C\\C", "[2H]O", "C[P@@H]O"]
    with gzip.open(data_dir / "pretrain" / "zinc250k.smi.gz", "rt") as file:
        texts = [line.split()[0] for line in file][::1500] + hard
    features = featurized(texts, variants=5)
    different = 0
    for row, one in enumerate(molecules(texts)):
        own, *others = texts_of(features, row)
        assert one is not None
        assert own == one.smiles
        assert {Chem.CanonSmiles(text) for text in others} == {own}
        different += len({own, *others})
    assert different > 5.5 * len(texts)


def test_variants_are_a_function_of_the_canonical_smiles() -> None:
    one, other = "Cc1ccc(cc1)C(=O)NCCO", "OCCNC(=O)c1ccc(C)cc1"
    equal(featurized([one], variants=6), featurized([other], variants=6))
    few, many = featurized([one], variants=2), featurized([one], variants=6)
    assert texts_of(few, 0) == texts_of(many, 0)[:3]
    assert len(set(texts_of(many, 0))) == 7


def test_answers_need_no_variants() -> None:
    assert SmilesSettings(variants=7, longest=99).answering() == SmilesSettings(variants=0, longest=99)


def test_a_smiles_over_the_limit_is_no_number_and_is_not_cut() -> None:
    texts = ["CCCC", "CCCCC", "[13CH3]C", "CC(=O)Nc1ccc(O)cc1"]
    assert featurized(texts, longest=4).ok.tolist() == [1, 0, 0, 0]  # the third has eight tokens
    assert featurized(texts, longest=8).ok.tolist() == [1, 1, 1, 0]
    assert len(featurized(texts, longest=4).tokens) == 4
    own = len(smiles.split(texts[3]))
    tight, loose = featurized(texts[3:], variants=9, longest=own), featurized(texts[3:], variants=9)
    assert loose.lengths.max() > own
    expected = [text if len(smiles.split(text)) <= own else texts[3] for text in texts_of(loose, 0)]
    assert texts_of(tight, 0) == expected


@pytest.mark.parametrize("wrong", [{"variants": -1}, {"variants": 101}, {"longest": 0}, {"longest": 10_001}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError):
        SmilesSettings(**wrong)


def test_a_batch_by_hand() -> None:
    batch = smiles.collate(featurized(["CO", "refused", "[nH]1cccc1", "N"]), np.array([3, 1, 0]))
    n, c, o = (NUMBER[token] for token in "NCO")
    assert batch.size == 3
    assert batch.ok.tolist() == [True, False, True]
    assert batch.tokens.tolist() == [BEGIN, n, END, BEGIN, c, o, END]
    assert batch.owner.tolist() == [0, 0, 0, 2, 2, 2, 2]
    assert batch.place.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert {array.dtype.name for array in (batch.tokens, batch.owner, batch.place)} == {"int64"}


@given(rows=rows_of, seed=st.none() | st.integers(0, 9))
def test_a_batch_equals_a_loop(rows: np.ndarray, seed: int | None) -> None:
    def generator() -> np.random.Generator | None:
        return None if seed is None else np.random.Generator(np.random.Philox(seed))

    batch, rng = smiles.collate(VARIED, rows, generator()), generator()
    chosen = [0] * len(rows) if rng is None else rng.integers(5, size=len(rows)).tolist()
    expected = []
    for number, row in enumerate(rows):
        if VARIED.ok[row]:
            told = [BEGIN, *smiles.encode(texts_of(VARIED, row)[chosen[number]]), END]
            expected += [(token, number, place) for place, token in enumerate(told)]
    assert list(zip(batch.tokens.tolist(), batch.owner.tolist(), batch.place.tolist(), strict=True)) == expected
    assert batch.ok.tolist() == VARIED.ok[rows].astype(bool).tolist()


def test_every_spelling_is_drawn_as_often() -> None:
    features = featurized(["Cc1ccc(cc1)C(=O)NCCO"], variants=4)
    batch = smiles.collate(features, np.zeros(5000, np.int64), np.random.Generator(np.random.Philox(0)))
    ends = np.flatnonzero(batch.tokens == END)
    drawn = [tuple(part[1:].tolist()) for part in np.split(batch.tokens, ends)[:-1]]
    drawn = [part[part.index(BEGIN) + 1 :] if BEGIN in part else part for part in drawn]
    counts = [drawn.count(tuple(smiles.encode(text))) for text in texts_of(features, 0)]
    assert sum(counts) == 5000
    assert all(900 < count < 1100 for count in counts)


@given(rows=rows_of, seed=st.none() | st.integers(0, 9))
def test_another_spelling_is_not_the_canonical_one_where_there_is_another(rows: np.ndarray, seed: int | None) -> None:
    rng = None if seed is None else np.random.Generator(np.random.Philox(seed))
    batch = smiles.another(VARIED, rows, rng)
    assert batch.ok.tolist() == VARIED.ok[rows].astype(bool).tolist()
    for place, row in enumerate(rows):
        told = smiles.decode(batch.tokens[batch.owner == place][1:-1])
        own, *others = texts_of(VARIED, row)
        different = [text for text in others if text != own] or [own]
        assert told == different[0] if seed is None else told in different


def test_the_canonical_one_among_the_random_ones_is_known() -> None:
    features = featurized(TEXTS, variants=4)
    for chosen in range(5):
        told = smiles.canonical(features, np.arange(len(TEXTS)), np.full(len(TEXTS), chosen))
        texts = [texts_of(features, row) for row in range(len(TEXTS))]
        assert told.tolist() == [text[chosen] == text[0] for text in texts]


def test_every_other_spelling_is_drawn_as_often() -> None:
    features = featurized(["Cc1ccc(cc1)C(=O)NCCO"], variants=4)
    batch = smiles.another(features, np.zeros(4000, np.int64), np.random.Generator(np.random.Philox(0)))
    lengths = np.bincount(batch.owner).tolist()
    told = [smiles.decode(part[1:-1]) for part in np.split(batch.tokens, np.cumsum(lengths)[:-1])]
    own, *others = texts_of(features, 0)
    assert own not in told
    assert all(900 < told.count(text) < 1100 for text in others)


@given(rows=rows_of)
def test_rows_are_taken_with_all_their_spellings(rows: np.ndarray) -> None:
    equal(base.take(VARIED, rows), featurized([TEXTS[row] for row in rows], variants=4))


@given(cut=st.integers(0, len(TEXTS)))
def test_columns_are_cut_joined_and_written_with_all_spellings(cut: int) -> None:
    parts = [base.take(VARIED, np.arange(0, cut)), base.take(VARIED, np.arange(cut, len(TEXTS)))]
    equal(base.concat(parts), VARIED)
    for part in parts:
        equal(base.from_bytes(SmilesFeatures, base.to_bytes(part)), part)
