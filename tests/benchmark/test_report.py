"""The report: what it says, and that no text from outside becomes anything but text."""

import base64
import errno
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetramer.benchmark import report as module
from tetramer.benchmark.cells import UNDEFINED, Spread
from tetramer.benchmark.report import Headline, Report, Table, TargetPlot, laid_out, render, write_report
from tetramer.errors import DiskError, UserError

PAYLOADS = (Path(__file__).parent / "payloads.txt").read_text(encoding="utf-8").splitlines()
TAGS = {"html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "div", "span", "img"}
TAGS |= {"h1", "h2", "h3", "p", "small", "dl", "dt", "dd", "ul", "li", "figure", "figcaption"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "src", "alt", "scope"}
SVG_TAGS = {"svg", "g", "path", "rect", "circle", "ellipse", "polygon", "line", "defs", "use", "style", "clipPath"}
SVG_TAGS |= {"image"}
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Page(HTMLParser):
    """The elements of a page in order, and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def shape(self) -> list[tuple[str, list[str], str | None]]:
        """What the text must not change: tags, names of attributes, classes."""
        return [(tag, list(attributes), attributes.get("class")) for tag, attributes in self.elements]

    @property
    def pictures(self) -> list[str]:
        sources = [attributes["src"] or "" for tag, attributes in self.elements if tag == "img"]
        assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
        return [base64.b64decode(source.split(",")[1]).decode() for source in sources]


def target(
    task: str, text: str = "solubility", labels: Sequence[str] = (), smiles: Sequence[str] = (), rows: int = 12
) -> TargetPlot:
    """A target of one task with every text field set."""
    rng = np.random.default_rng(0)
    if task == "regression":
        truth = np.array(rng.normal(size=rows), dtype=np.float64)
        guess = truth + np.linspace(-0.3, 0.3, rows)
        ends = (guess - 0.2, guess + 0.2)
        return TargetPlot(text, task, truth, guess, text, *ends, smiles=smiles, labels=labels)
    if task == "binary":
        truth = np.array(np.arange(rows) % 2, dtype=np.float64)
        return TargetPlot(text, task, truth, rng.random(rows), classes=(text, text), smiles=smiles, labels=labels)
    odds = np.array(rng.dirichlet(np.ones(3), rows), dtype=np.float64)
    return TargetPlot(
        text, task, np.arange(rows, dtype=np.float64) % 3, odds, classes=(text,) * 3, smiles=smiles, labels=labels
    )


def full(texts: Sequence[str]) -> Report:
    """A report with the texts in every field that takes one."""
    tasks = ["regression", "binary", "multiclass"]
    cycle = (list(texts) * 12)[:12]
    return Report(
        title=" ".join(texts),
        summary=" ".join(texts),
        facts=[(text, text) for text in texts],
        tables=[Table(text, (text, "n"), [(text, 1), (text, Spread(0.5, error=0.1))], [text]) for text in texts],
        targets=[target(tasks[k % 3], text, cycle, cycle) for k, text in enumerate(texts)],
        headline=[Headline(text, text, text) for text in texts],
        notes=texts,
        part=" ".join(texts),
    )


def test_the_page_says_what_it_was_given() -> None:
    report = Report(
        title="Solubility of 114 molecules",
        facts=[("rows", 1128), ("split", "scaffold"), ("seed", None)],
        tables=[Table("Test part", ("model", "RMSE", "R²"), [("blend", Spread(0.71234, error=0.031), -0.0021)])],
        targets=[target("regression")],
        headline=[Headline("RMSE", Spread(0.71, low=0.63, high=0.802), "log₁₀ mol/L")],
        notes=["Six molecules occur twice."],
    )
    text = re.sub(r"\s+", " ", Page(render(report)).text)
    for said in (
        "Solubility of 114 molecules",
        "rows1,128",
        "splitscaffold",
        "seed–",
        "RMSE0.71 (0.63 to 0.80)log₁₀ mol/L",
        "blend 0.712 ± 0.031 −0.0021",
        "Six molecules occur twice.",
    ):
        assert said.replace(" ", "") in text.replace(" ", "")


def test_what_is_undefined_stands_right_and_its_reason_once_below() -> None:
    why = "spearman (mean): undefined, all predictions are equal."
    table = Table("Test part", ("", "rmse", "spearman"), [("blend", 0.5, 0.9), ("mean", 1.0, UNDEFINED)], [why])
    assert [right for _, right in laid_out(table)["header"]] == [False, True, True]  # type: ignore[attr-defined]
    page = Page(render(Report("t", [], [table])))
    assert page.text.count("undefined") == 2
    below = page.text.index(why)
    assert page.text.index("mean") < below
    inside = [tag for tag, _ in page.elements]
    assert inside.index("li") > inside.index("table")
    assert ("ul", {"class": "under"}) in page.elements
    assert ("ul", {"class": "under"}) not in Page(render(Report("t", [], [replace(table, notes=())]))).elements


def test_a_long_table_is_whole_and_scrolls() -> None:
    table = Table("Each target", ("target", "roc-auc"), [(f"assay {k}", 0.5) for k in range(617)], tall=True)
    page = Page(render(Report("t", [], [table])))
    assert page.text.count("assay ") == 617
    assert ("div", {"class": "paper scroll tall"}) in page.elements
    assert ("div", {"class": "paper scroll"}) in Page(render(Report("t", [], [replace(table, tall=False)]))).elements


def test_the_edge_of_a_table_that_scrolls_has_a_shadow() -> None:
    """The paper's own covers move with the content, so a shadow shows where there is more."""
    (rule,) = re.findall(r"^\.scroll \{(.*)\}$", render(Report("t", [])), re.MULTILINE)
    assert "background-attachment: local, local, scroll, scroll, scroll" in rule
    assert rule.count("linear-gradient") == 4


def test_coverage_and_largest_errors_are_exact() -> None:
    truth = np.array([0.0, 1.0, 2.0, np.nan])
    guess = np.array([0.1, 3.0, 1.5, 0.0])
    truth, guess = np.roll(truth, 1), np.roll(guess, 1)
    smiles = ["CCCl", "CCO", "CCN", "CCC"]
    plot = TargetPlot("y", "regression", truth, guess, "K", guess - 1, guess + 1, smiles=smiles)
    text = Page(render(Report("t", [], targets=[plot]))).text
    assert "3 molecules" in text  # the first has no measurement
    assert "outside, 1 of 3 (33.3 %; 10 % expected)" in text
    assert re.findall(r"CC[NOC]l?", text) == ["CCN", "CCC", "CCO"]
    hidden = Page(render(Report("t", [], targets=[plot], structures=False))).text
    assert re.findall(r"molecule (\d)", hidden) == ["3", "4", "2"]  # their places
    assert re.sub(r"\s+", "", text.split("CCN")[1]).startswith("measured1.00predicted3.00interval2.00to4.00")


def test_one_class_only_is_said_and_not_drawn() -> None:
    plot = TargetPlot("y", "binary", np.ones(30), np.linspace(0, 1, 30), classes=("inactive", "active"))
    page = Page(render(Report("t", [], targets=[plot])))
    assert "There is no ROC curve: all 30 molecules are active." in page.text
    assert len(page.pictures) == 2  # the mark and the calibration curve


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_a_target_without_labels_is_said(task: str) -> None:
    whole = target(task)
    empty = TargetPlot("y", task, np.full(12, np.nan), whole.prediction, low=whole.low, high=whole.high)
    page = Page(render(Report("t", [], targets=[empty])))
    assert "No molecule has an exact label here." in page.text
    assert len(page.pictures) == 1


def test_intervals_that_could_not_be_made_are_left_out() -> None:
    whole = target("regression")
    page = Page(render(Report("t", [], targets=[replace(whole, low=np.full(12, np.nan), high=np.full(12, np.nan))])))
    assert "interval" not in page.text
    assert len(page.pictures) == 2  # the mark and the parity plot


def test_a_wide_panel_keeps_the_page_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    page = Page(render(Report("t", [], targets=[target("binary")] * 5)))
    assert "the first 2 of 5 targets" in page.text
    assert len(page.pictures) == 1 + 2 * 2


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_confidential_structures_stay_out(task: str) -> None:
    smiles = ["CC(=O)Oc1ccccc1C(=O)O"] * 12
    shown = render(Report("t", [], targets=[target(task, smiles=smiles)]))
    hidden = render(Report("t", [], targets=[target(task, smiles=smiles)], structures=False))
    assert "CC(=O)O" in shown
    assert len(Page(shown).pictures) == 1 + 2 + 12
    assert "CC(=O)O" not in hidden
    assert "molecule 1" in Page(hidden).text
    assert len(Page(hidden).pictures) == 1 + 2


def test_names_are_shown_in_place_of_smiles() -> None:
    text = Page(render(Report("t", [], targets=[target("regression", labels=[f"CPD-{k}" for k in range(12)])]))).text
    assert sorted(re.findall(r"CPD-\d+", text)) == sorted(f"CPD-{k}" for k in range(12))


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, full(["text"] * 3))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_a_refused_write_names_the_file_and_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_report(path, Report("old", []))
    before = path.read_bytes()

    def full_disk(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(DiskError, match=r"report\.html cannot be written: No space left.* MB are needed"):
        write_report(path, Report("new", []))
    assert path.read_bytes() == before
    assert [there.name for there in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_is_no_place_for_a_page(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        write_report(tmp_path, Report("t", []))


@cache
def calm_shape(count: int) -> list[tuple[str, list[str], str | None]]:
    return Page(render(full(["no markup"] * count))).shape


@pytest.mark.parametrize("first", range(0, len(PAYLOADS), 12))
def test_hostile_text_stays_text_in_every_field(first: int) -> None:
    texts = PAYLOADS[first : first + 12]
    page = Page(render(full(texts)))
    assert page.shape == calm_shape(len(texts))
    for tag, attributes in page.elements:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES
    assert all(text in page.text for text in texts)
    for svg in page.pictures:
        for element in ElementTree.fromstring(svg).iter():
            assert element.tag.removeprefix("{http://www.w3.org/2000/svg}") in SVG_TAGS
            assert not [name for name in element.attrib if name.lower().startswith("on")]
            links = [value for name, value in element.attrib.items() if name.endswith("href")]
            assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)


pieces = st.sampled_from(["<", ">", "<b>", "</p>", "</title>", "<!--", "-->", '"', "'", "&lt;", "&", "{{", " ", "x"])


@given(st.lists(pieces, min_size=1).map("".join) | st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_text_leaves_the_shape_of_the_page(text: str) -> None:
    shape = [
        Page(render(Report(said, [(said, said)], [Table(said, [said], [[said]])], notes=[said]))).shape
        for said in (text, "x")
    ]
    assert shape[0] == shape[1]


def test_the_policy_forbids_all_but_own_pictures_and_styles() -> None:
    found = [a["content"] for tag, a in Page(render(Report("t", []))).elements if a.get("http-equiv")]
    assert found == [POLICY]


def pwned(path: Path, profile: Path) -> bool:
    """Whether a script ran in the page, told by a mark that only a script can set."""
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += (
        f" --disable-component-update --disable-sync --user-data-dir={profile} --virtual-time-budget=2000 --dump-dom"
    )
    command = [shutil.which("chromium") or "chromium", *flags.split(), path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    marks = [attributes for tag, attributes in Page(done.stdout).elements if tag == "html"]
    return "data-pwned" in marks[0]


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_no_script_runs_in_a_browser(tmp_path: Path) -> None:
    script = "document.documentElement.setAttribute('data-pwned',1)"
    texts = [payload.replace("pwn()", script) for payload in PAYLOADS]
    naive = tmp_path / "naive.html"
    naive.write_text(f"<!doctype html><html><body>{' '.join(texts)}</body></html>", encoding="utf-8")
    assert pwned(naive, tmp_path / "profile-1")  # the payloads work where nothing stops them
    write_report(tmp_path / "report.html", full(texts))
    assert not pwned(tmp_path / "report.html", tmp_path / "profile-2")
