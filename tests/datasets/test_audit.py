"""The audit: exact answers on small tables, and the known defects of public data, found without being told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.datasets import audit as module
from tetramer.datasets import sources
from tetramer.datasets.audit import Options, audit, disagreement, later, numbered, overlap
from tetramer.datasets.columns import Column
from tetramer.datasets.findings import CODES, SEVERITIES, Audit, percent, some
from tetramer.datasets.tables import Table, read_table
from tetramer.errors import UserError
from tetramer.molecules import Limits, Standard

HERE = Options(limits=Limits(0))


def table(smiles: list[str], start: int = 0, name: str = "made.csv", **columns: Any) -> Table:
    return Table(pa.table({"smiles": smiles, **columns}), name, start)


def told(found: Audit) -> list[tuple[str, str | None, int, tuple[int, ...]]]:
    """Code, target, count and rows of every finding; what it says in general is held against CODES and json."""
    for one in found.findings:
        assert one.code in CODES
        assert one.severity in SEVERITIES
        assert one.sentence.endswith(".")
        assert all(isinstance(value, float) for value in one.values.values())
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["rows"] == found.rows
    order = [SEVERITIES.index(one.severity) for one in found.findings]
    assert order == sorted(order)
    return [(one.code, one.target, one.count, one.rows) for one in found.findings]


def test_repeats_that_agree_and_conflict() -> None:
    smiles = ["CCO", "OCC", "c1ccccc1", "C1=CC=CC=C1", "CCN", "C(C)O", "NCC", "CCC"]
    values = ["1.21", "1.214", "5.11", "7.61", "", "1.19", "3.33", "9.01"]
    found = audit(table(smiles, start=10, y=values), ["y"], options=HERE)
    assert told(found) == [
        ("CONFLICT", "y", 2, (11, 12, 16, 13, 14)),
        ("DUPLICATE", None, 4, (12, 14, 16, 17)),
    ]
    assert (found.rows, found.molecules, found.targets) == (8, 4, ("y",))
    (one,) = found.of("CONFLICT", "y")
    assert one.severity == "alarm"  # half of the molecules
    exact = {"agree": 0.0, "share": 2 / 4, "largest_spread": 2.5, "median_spread": (2.5 + 0.024) / 2}
    assert {name: one.values[name] for name in exact} == pytest.approx(exact)
    assert found.of("DUPLICATE")[0].values == {"molecules": 3.0, "rows": 7.0}


def test_how_the_file_was_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("smiles,größe,größe\nC,1,1\n\nCC,2,2\n".encode("cp1252"))
    found = audit(read_table(path), [], options=HERE)
    assert [one.severity for one in found.of("AS_READ")] == ["note", "note"]
    first, second = (one.sentence for one in found.of("AS_READ"))
    assert first == "1 empty line of a.csv skipped."
    assert second == "a.csv is not UTF-8 (first in line 1); it was read as Windows-1252."
    assert {code for code, *_ in told(found)} == {"AS_READ", "REPEATED_HEADER"}


def test_classes_conflict_and_several_targets_are_summed() -> None:
    smiles = ["CCO", "CCO", "CCN", "CCN", "CCC", "CCC"]
    found = audit(table(smiles, a=list("001101"), b=[*"yynyy", ""]), ["a", "b"], options=HERE)
    assert [one for one in told(found) if one[0] == "CONFLICT"] == [
        ("CONFLICT", None, 2, (3, 4, 5, 6)),
        ("CONFLICT", "a", 1, (5, 6)),
        ("CONFLICT", "b", 1, (3, 4)),
    ]


def column(values: list[float], censor: list[int], tolerance: float = 0.0) -> Column:
    return Column("y", np.array(values), np.array(censor, np.int8), None, "regression", tolerance)


@pytest.mark.parametrize(
    ("values", "signs", "conflict"),
    [
        ([10, 12], [1, 0], False),  # > 10 and 12
        ([10, 9], [1, 0], True),
        ([10, 5], [1, -1], True),  # > 10 and < 5
        ([5, 10], [1, -1], False),
        ([5, 7], [1, 1], False),
        ([1.0, 1.05], [0, 0], False),
        ([1.0, 1.2], [0, 0], True),
        ([1.0, np.nan], [0, 0], False),
    ],
)
def test_bounds_conflict_only_where_nothing_fits_both(values: list[float], signs: list[int], conflict: bool) -> None:
    count, found, _ = disagreement(column(values, signs, 0.1), np.array([0, 0]))
    assert (count.tolist(), found.tolist()) == ([int(np.isfinite(values).sum())], [conflict])


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 5), st.integers(-1, 1)), min_size=1, max_size=20))
def test_disagreement_equals_a_search_for_a_common_value(rows: list[tuple[int, int, int]]) -> None:
    groups, values, signs = (np.array(part) for part in zip(*rows, strict=True))
    _, found, spread = disagreement(column(values.astype(float).tolist(), signs.tolist()), groups)
    for group in range(int(groups.max()) + 1):
        inside = [(value, sign) for mine, value, sign in rows if mine == group]
        allowed = (all(at == v or (at - v) * s > 0 for v, s in inside) for at in range(-1, 7))
        assert found[group] == (not any(allowed))
        exact = [value for value, sign in inside if sign == 0]
        assert spread[group] == (max(exact) - min(exact) if exact else 0)


def test_numbering_and_later_places() -> None:
    groups = numbered(["b", "", "a", "b", "a", "b"])
    assert groups.tolist() == [0, -1, 1, 0, 1, 0]
    assert later(groups).tolist() == [3, 4, 5]


def test_isomers_are_notes_and_no_duplicates() -> None:
    smiles = ["C[C@H](N)O", "C[C@@H](N)O", "CC(=O)O", "CC(=O)[O-]", "CCC", "CCC"]
    found = audit(table(smiles, y=["1.0", "2.0", "3.0", "3.0", "4.0", "5.0"]), ["y"], options=HERE)
    assert [one for one in told(found) if one[0].startswith("ISOMER")] == [
        ("ISOMER", None, 4, (1, 2, 3, 4)),
        ("ISOMER_CONFLICT", "y", 1, (1, 2)),
    ]


def test_unreadable_rows_by_code_and_mixtures() -> None:
    smiles = ["CCO", "", "C1CC", "[Na+].[Cl-]", "CN(C)(C)(C)C", "O.O", "C C", "c1cc"]
    found = audit(table(smiles, start=1_000), options=HERE)
    assert told(found) == [
        ("CONTROL_CHAR", None, 1, (1007,)),
        ("EMPTY", None, 1, (1002,)),
        ("PARSE", None, 2, (1003, 1008)),
        ("SANITIZE", None, 1, (1005,)),
        ("MULTI_COMPONENT", None, 2, (1004, 1006)),
    ]
    whole = audit(table(["C.O", *smiles]), options=Options(Standard(salts="largest"), Limits(0)))
    assert whole.of("MULTI_COMPONENT")[0].rows == (5, 7)  # those without carbon


def test_workers_give_the_same_answer_and_progress_is_heard() -> None:
    data = table(["CCO", "C1CC", "OCC", "CC.C", "C[C@H](N)O", "CC(N)O"], y=["1", "2", "3", "4", "5", "6"])
    heard: list[tuple[int, int]] = []
    spoken = Options(limits=Limits(1), progress=lambda done, total: heard.append((done, total)))
    assert audit(data, options=spoken) == audit(data, options=HERE)
    assert heard == [(6, 6)]


@pytest.mark.parametrize("smiles", [[], ["", ""], ["C1CC"]])
def test_nothing_to_look_at(smiles: list[str]) -> None:
    found = audit(
        Table(pa.table({"smiles": pa.array(smiles, pa.string()), "y": pa.array([""] * len(smiles))}), "t"),
        ["y"],
        options=HERE,
    )
    assert found.molecules == 0
    assert "DUPLICATE" not in {one.code for one in found.findings}
    told(found)


def test_errors_name_what_is_wrong() -> None:
    data = table(["C", "CC"], y=["1", "2"])
    with pytest.raises(UserError, match="has no column 'z'"):
        audit(data, ["z"], options=HERE)
    with pytest.raises(UserError, match="A target is named twice: 'y', 'y'"):
        audit(data, ["y", "y"], options=HERE)
    with pytest.raises(UserError, match="has no column 'structure'"):
        audit(data, ["y"], "structure", HERE)


def test_cells_that_are_no_labels_are_alarms() -> None:
    found = audit(
        table(["C", "CC", "CCC", "N", "O", "P"], y=["1.5", "inf", "low", "nan", "2", "9"]), ["y"], options=HERE
    )
    assert [one[:3] for one in told(found)] == [("LABEL_INF", "y", 1), ("LABEL_TYPE", "y", 1), ("LABEL_NAN", "y", 1)]
    assert len(found.alarms) == 2


@pytest.mark.parametrize(("bad", "severity"), [(9, "warning"), (10, "alarm"), (50, "alarm")])
def test_many_unreadable_rows_are_an_alarm(bad: int, severity: str) -> None:
    found = audit(table(["C1CC"] * bad + ["CCO"] * (50 - bad)), options=HERE)
    (one,) = found.of("PARSE")
    assert (one.severity, one.count, one.rows, one.more) == (
        severity,
        bad,
        tuple(range(1, bad + 1))[:10],
        max(0, bad - 10),
    )


def test_a_table_without_rows_says_so() -> None:
    empty = Table(pa.table({"smiles": pa.array([], pa.string()), "y": pa.array([], pa.string())}), "t.csv")
    (one,) = audit(empty, options=HERE).findings
    assert (one.code, one.severity, one.sentence) == (
        "NO_ROWS",
        "alarm",
        "t.csv has no rows, only the names of its columns.",
    )
    assert [one.code for one in overlap(table(["C"]), empty, options=HERE).findings] == ["NO_ROWS"]


def test_numbers_that_are_not_written_as_numbers_are_told_without_a_target() -> None:
    smiles = ["C" * k for k in range(1, 31)]
    odd = [f"6,{k % 10}" for k in range(30)]
    alone = audit(table(smiles, pIC50=odd), options=HERE)
    assert (alone.targets, [one.code for one in alone.alarms]) == ((), ["LABEL_FORMAT"])
    beside = audit(table(smiles, pIC50=odd, y=[k / 7 for k in range(30)]), options=HERE)
    assert (beside.targets, [one.severity for one in beside.of("LABEL_FORMAT")]) == (("y",), ["warning"])
    named = audit(table(smiles, pIC50=odd, y=[k / 7 for k in range(30)]), ["pIC50"], options=HERE)
    assert [one.code for one in named.alarms] == ["LABEL_FORMAT"]


def test_extreme_labels_are_told_and_nothing_overflows() -> None:
    smiles = [f"{'C' * (k % 10 + 1)}{'O' * (k // 10)}" for k in range(100)] + ["OCC", "N"]
    values = np.append(np.random.default_rng(0).normal(size=100), [1e308, 1e9])
    found = audit(table(smiles, y=values), ["y"], options=HERE)
    assert [one[0] for one in told(found)] == ["LABEL_HUGE", "EXTREME", "DUPLICATE"]


def test_slow_checks_say_what_they_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TARGETS", 1)
    asked: list[str] = []
    monkeypatch.setattr(module, "check_style", lambda column, read: asked.append(column.name) or [])
    found = audit(table(["C", "CC", "CCC"], a=["1", "2", ""], b=["1", "2", "5"]), ["a", "b"], options=HERE)
    assert asked == ["b"]
    assert found.of("NOT_CHECKED")[0].count == 1


def test_overlap_counts_each_row_under_its_closest_kin() -> None:
    train = table(["CCO", "C[C@H](N)Oc1ccccc1", "CC1CC1", "", "C1CC"], name="train.csv")
    test = table(["OCC", "C[C@@H](N)Oc1ccccc1", "OC1CC1", "CCCC", "", "C1C"], start=7, name="test.csv")
    found = overlap(train, test, options=HERE)
    assert told(found) == [
        ("EMPTY", None, 1, (12,)),
        ("PARSE", None, 1, (13,)),
        ("SAME_MOLECULE", None, 1, (8,)),
        ("SAME_SKELETON", None, 1, (9,)),
        ("SAME_SCAFFOLD", None, 1, (10,)),
    ]
    assert (found.name, found.rows, found.molecules) == ("test.csv", 6, 4)
    assert found.of("SAME_MOLECULE")[0].values == {"share": 0.25}
    assert found.of("SAME_MOLECULE")[0].sentence == "1 row of test.csv (25 %) with a molecule of train.csv."


def test_words_for_numbers() -> None:
    assert (some(1, "row"), some(2_000, "row")) == ("1 row", "2,000 rows")
    assert [percent(share) for share in (0.5, 0.155, 0.0123, 0.00012)] == ["50 %", "15.5 %", "1.2 %", "0.012 %"]


# Public data and their known defects. Counts: RDKit 2026.9.1.


def public(data_dir: Path, name: str, targets: list[str] | None = None, rows: int | None = None) -> Audit:
    data = read_table(data_dir / "moleculenet" / name)
    if rows is not None:
        data = Table(data.data.slice(0, rows), data.name)
    found = audit(data, targets, options=HERE)
    told(found)
    return found


def test_qm7_contradicts_its_compositions(data_dir: Path) -> None:
    found = public(data_dir, "qm7.csv")
    (one,) = found.alarms
    assert (one.code, one.target) == ("COMPOSITION", "u0_atom")
    assert 0.15 <= one.values["share"] <= 0.16
    assert 15 < one.values["scale"] < 19
    assert 50 < one.values["beyond"] < 60


def test_the_part_of_qm9_that_is_sound_raises_no_alarm(data_dir: Path) -> None:
    found = public(data_dir, "qm9_g4mp2_atomization.csv.gz", ["g4mp2_atomization_hartree"], rows=2_000)
    assert [one for one in found.findings if one.code in ("COMPOSITION", "STYLE")] == []


def test_conflicts_far_below_the_spread_of_the_labels_are_notes() -> None:
    for last, severity in ((3.01, "note"), (3.5, "warning")):
        rows = table(["C", "C", "CC", "CC", "CCC", *["C" * size for size in range(4, 400)]])
        y = [1.0, 1.001, 3.0, last, 9.0, *np.linspace(-3, 3, 396).tolist()]
        found = audit(Table(rows.data.append_column("y", pa.array(y)), "made.csv"), ["y"], None, HERE)
        (one,) = found.of("CONFLICT")
        assert one.severity == severity


def test_clintox_is_told_by_its_style_and_contradicts_itself(data_dir: Path) -> None:
    found = public(data_dir, "clintox.csv.gz")
    assert found.targets == ("FDA_APPROVED", "CT_TOX")
    (fda,), (tox,) = found.of("STYLE", "FDA_APPROVED"), found.of("STYLE", "CT_TOX")
    assert fda.values["given"] == pytest.approx(0.946, abs=0.01)
    assert fda.values["canonical"] == pytest.approx(0.765, abs=0.02)
    assert tox.values["given"] > 0.93
    assert tox.values["canonical"] < 0.78
    assert found.of("CONFLICT")[0].target is None
    assert found.of("CONFLICT")[0].count == 19
    assert (found.of("DUPLICATE")[0].count, found.of("SANITIZE")[0].count) == (19, 4)


def test_bbbp_repeats_itself(data_dir: Path) -> None:
    found = public(data_dir, "BBBP.csv")
    assert found.targets == ("p_np",)  # not the running number
    counts = {one.code: one.count for one in found.findings}
    assert counts["DUPLICATE"] == 64
    assert counts["CONFLICT"] == 10
    assert counts["SANITIZE"] == 11
    assert counts["MULTI_COMPONENT"] == 105


def test_qm8_repeats_columns(data_dir: Path) -> None:
    found = public(data_dir, "qm8.csv.gz", rows=1_000)
    names = ["E1-PBE0.1", "E2-PBE0.1", "f1-PBE0.1", "f2-PBE0.1"]
    assert [one.target for one in found.of("REPEATED_COLUMN")] == names
    assert found.of("REPEATED_HEADER")[0].count == 4
    assert len(found.targets) == 16
    assert found.alarms == found.of("REPEATED_COLUMN")


def test_esol_holds_predictions_and_repeats(data_dir: Path) -> None:
    found = public(data_dir, "delaney-processed.csv")
    target = "measured log solubility in mols per litre"
    assert found.targets == (target,)
    (one,) = found.alarms
    assert (one.code, one.target) == ("PREDICTIONS", target)
    assert "'ESOL predicted" in one.sentence
    assert one.values["correlation"] == pytest.approx(0.907, abs=0.001)
    assert found.of("DUPLICATE")[0].count == 11
    assert found.of("CONFLICT")[0].count == 6
    assert found.of("CONFLICT")[0].values["agree"] == 5


def test_a_public_set_is_opened_by_its_name(data_dir: Path) -> None:
    assert sources.named("esol").data.equals(read_table(data_dir / "moleculenet" / "delaney-processed.csv").data)
    with pytest.raises(UserError, match=r"'esoll' is neither a data set nor a file\. Did you mean 'esol'"):
        sources.named("esoll")


def test_lipophilicity_and_hydration_raise_no_alarm(data_dir: Path) -> None:
    lipo = public(data_dir, "Lipophilicity.csv", rows=2_000)
    assert [one.severity for one in lipo.findings] == ["note"] * len(lipo.findings)
    assert lipo.of("MULTI_COMPONENT")[0].count == 1
    free = public(data_dir, "SAMPL.csv", ["expt"])
    assert [one.code for one in free.alarms] == ["PREDICTIONS"]  # its column `calc`


def test_the_activity_behind_the_class_of_bace_is_a_leak(data_dir: Path) -> None:
    data = read_table(data_dir / "moleculenet" / "bace.csv")
    data = Table(data.data.take(list(range(0, len(data), 6))), data.name)  # it is sorted by class
    found = audit(data, ["Class"], options=HERE)
    assert "'pIC50' tells 'Class'" in " ".join(one.sentence for one in found.of("LEAK_COLUMN"))
