"""The page of a comparison: what it says, that it repeats, and that names from outside stay text."""

import importlib.util
import re
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tetramer.benchmark import plots
from tetramer.benchmark.comparison import render, write_comparison
from tetramer.benchmark.summary import Summary, summarise


def beside(name: str) -> ModuleType:
    """Another file of tests: tests are no package."""
    spec = importlib.util.spec_from_file_location(f"{name}_for_comparison", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


report = beside("test_report")
Page, PAYLOADS = report.Page, report.PAYLOADS
GAINS = {"ours": 0.7, "other": 0.99, "worst": 3.0, "base": 1.0}


def rows(data: Sequence[str] = ("esol", "bace"), text: str = "", refused: str = "") -> list[dict[str, Any]]:
    """Four methods on three splits of each set; `text` goes into every name that comes from outside."""
    rng = np.random.default_rng(0)
    found = []
    for name, metric, base in ((data[0], "rmse", 1.0), (data[1], "roc-auc", 0.2)):
        for method, share in GAINS.items():
            for seed in range(3):
                error = base * (1 + 0.1 * seed) * share * float(np.exp(rng.normal(0, 0.01)))
                value = error if metric == "rmse" else 1 - error
                found.append(
                    {
                        "method": method + text,
                        "data": name + text,
                        "data_sha256": "d" * 64,
                        "metric": metric,
                        "split": "balanced" + text,
                        "class": "B",
                        "seed": seed,
                        "fit_rows": "train+valid",
                        "split_sha256": f"{seed}{name}".ljust(64, "0"),
                        "fitted_on": 1015,
                        "tested_on": 113,
                        "config_sha256": method,
                        "scores": {metric: value},
                        "undefined": {},
                        "skipped": {},
                        "refused": None,
                        "members": {"gp" + text: {metric: value}} if method == "ours" else {},
                        "weights": {"gp" + text: 1.0} if method == "ours" else {},
                        "interval": {"level": 0.9, "coverage": 0.88, "width": 2.0, "rank_correlation": 0.3}
                        if method == "ours"
                        else None,
                        "cost": {"seconds": 41.2, "machine": "x86_64" + text, "versions": {"tetramer": "1" + text}},
                    }
                )
    if refused:
        found[0] |= {"refused": refused, "scores": {}}
    return found


def told(given: Sequence[dict[str, Any]]) -> Summary:
    overlaps = {row["data"]: {row["split"]: 0.3} for row in given}
    return summarise(given, overlaps, next(row["method"] for row in given if row["method"].startswith("base")))


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_the_page_says_what_was_found() -> None:
    given = rows(refused="No graphics card.")
    page = Page(render(told(given), "Two sets"))
    text = flat(page.text)
    for said in (
        "4 methods on 2 data sets. Every difference is from base.",
        "Class B: scaffolds are dealt out in random order",
        "Fitted on train + valid: methods also learn from the validation part.",
        "roc-auc: higher is better, and so is a difference above 0. ± is the sd over 3 split seeds.",
        "rmse: lower is better, and so is a difference below 0. ± is the sd over split seeds.",
        "2 data sets together",
        "ours: could not be fitted: No graphics card (seed 0).",
        "ours: compared on 2 of 3 splits, where both were judged on the same labels.",
        "ours lacks esol (2 of 3 splits); its ratio is over 2 of 2 data sets.",
        "0: 0esol0000000, 1: 1esol0000000, 2: 2esol0000000",
        "3 methods on 2 data sets. Mean ranks differ at 5 % if they lie 2.34 apart",
        "1,015 / 113",
        "tetramer 1",
    ):
        assert said in text, said
    assert len(page.pictures) == 1 + 1 + 2  # the mark, the diagram, differences on two sets


def test_leaks_stand_beside_the_splits() -> None:
    summary = told(rows())
    leaks = {"esol": {table.setting.rule: "molecule 0–3 of 113" for table in summary.tables}}
    text = flat(Page(render(summary, "t", leaks)).text)
    assert text.count("molecule 0–3 of 113") == sum(table.data == "esol" for table in summary.tables)
    assert "Leak: test rows that also stand in train or valid" in text
    assert "Leak: test rows" not in flat(Page(render(summary, "t")).text)


def test_values_and_differences_stand_in_the_metrics_own_direction() -> None:
    summary = told(rows())
    (line,) = [line for line in summary.tables[0].lines if line.method == "ours"]
    assert (summary.tables[0].data, summary.tables[0].metric) == ("bace", "roc-auc")
    assert line.mean is not None
    assert line.pair is not None
    text = flat(Page(render(summary, "t")).text)
    (cells,) = re.findall(
        r"ours ([\d.]+) ± [\d.]+ ([\d.]+) \(([\d.]+) to ([\d.]+)\) (−\d+) \(.{5,20}\) [\d.<]+ 100 % better", text
    )[:1]
    assert float(cells[0]) == pytest.approx(line.mean, abs=0.005)
    assert float(cells[1]) == pytest.approx(line.pair.difference, abs=0.005)
    assert line.pair.difference > 0
    assert int(cells[4].replace("−", "-")) == pytest.approx(line.pair.percent, abs=0.5)


def test_one_data_set_or_two_methods_have_no_diagram_and_one_split_no_picture() -> None:
    given = [row for row in rows() if row["data"] == "esol"]
    assert len(Page(render(told(given), "t")).pictures) == 2
    two = [row for row in rows() if row["method"] in ("ours", "base")]
    assert len(Page(render(told(two), "t")).pictures) == 3  # ranks of two methods are no diagram
    page = Page(render(told([row | {"class": "D"} for row in given if row["seed"] == 0]), "t"))
    assert len(page.pictures) == 1
    assert "one split, no test" in page.text
    assert "intervals are over its test molecules" in flat(page.text)


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    given = rows()
    write_comparison(tmp_path / "a.html", told(given), "t")
    write_comparison(tmp_path / "b.html", told(given[::-1]), "t")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    given[0]["scores"]["rmse"] += 0.1
    write_comparison(tmp_path / "b.html", told(given), "t")
    assert (tmp_path / "a.html").read_bytes() != (tmp_path / "b.html").read_bytes()


@cache
def calm_shape() -> list[tuple[str, list[str], str | None]]:
    return Page(render(told(rows(text=" x", refused="x")), "x")).shape


@pytest.mark.parametrize("first", range(0, len(PAYLOADS), 12))
def test_hostile_names_stay_text(first: int) -> None:
    text = " ".join(["", *PAYLOADS[first : first + 12]])
    page = Page(render(told(rows(text=text, refused=text)), text))
    assert page.shape == calm_shape()
    for tag, attributes in page.elements:
        assert tag in report.TAGS
        assert set(attributes) <= report.ATTRIBUTES
    assert text.strip() in page.text
    for svg in page.pictures:
        for element in ElementTree.fromstring(svg).iter():
            assert element.tag.removeprefix("{http://www.w3.org/2000/svg}") in report.SVG_TAGS
            assert not [name for name in element.attrib if name.lower().startswith("on")]
    assert [found["content"] for tag, found in page.elements if found.get("http-equiv")] == [report.POLICY]


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_no_script_runs_in_a_browser(tmp_path: Path) -> None:
    script = "document.documentElement.setAttribute('data-pwned',1)"
    text = " ".join(payload.replace("pwn()", script) for payload in PAYLOADS)
    write_comparison(tmp_path / "page.html", told(rows(text=text, refused=text)), text)
    assert not report.pwned(tmp_path / "page.html", tmp_path / "profile")


def test_pictures_are_well_formed_and_repeat() -> None:
    gaps, ends = [(-0.1, -0.3), (3.0,), (0.0, 0.0)], [(-0.3, -0.1), None, (float("-inf"), float("inf"))]

    def drawn() -> list[str]:
        return [
            plots.differences(["a", "$b^", "<c>"], gaps, ends, bounds, "rmse", verdicts)
            for bounds in ((0.01, 0.5), (0.0, 0.0))
            for verdicts in (("better", "worse", ""), ("worse", "not settled", "better"))
        ] + [
            plots.critical_difference(["a", "b", "c"], [1.2, 1.9, 2.9], critical, [("a", "b")])
            for critical in (0.9, 9.0)
        ]

    found = drawn()
    for svg in found:
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert "<text" not in svg  # text is drawn as outlines
    assert drawn() == found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(("verdict", "colour"), [
    ("better", plots.BLUE), ("worse", plots.RED), ("not settled", None), ("practically the same", None),
])  # fmt: skip
def test_the_colour_is_that_of_the_verdict(verdict: str, colour: str | None) -> None:
    svg = plots.differences(["a"], [(0.2, 0.2)], [(0.1, 0.3)], (0.01, 0.5), "rmse", [verdict])
    assert [shade for shade in (plots.BLUE, plots.RED) if shade in svg] == ([colour] if colour else [])


def test_the_other_metrics_stand_in_a_table_of_their_own() -> None:
    given = [row | {"scores": row["scores"] | {"mae": 0.25, "r2": 0.5}} for row in rows() if row["metric"] == "rmse"]
    text = flat(Page(render(told(given), "t")).text)
    assert "Other metrics, means over splits" in text
    assert "method mae ↓ r2 ↑" in text
    assert "Other metrics" not in flat(Page(render(told(rows()), "t")).text)
