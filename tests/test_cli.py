"""The command line: one sentence for every mistake, the right exit code, data and messages kept apart."""

import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

from tetramer import cli
from tetramer.checkpoint import read_folder, unpack
from tetramer.datasets.partitions import load_split
from tetramer.datasets.tables import read_table
from tetramer.datasets.writing import locked
from tetramer.errors import DiskError, Stopped, UserError
from tetramer.members.work import died

TINY = ["--recipe", "baseline", "--set", "folds=2", "--set", "trees=5", "--set", "machine=gp", "--workers", "0"]


class Told(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """`tetramer WORDS` in this process → exit code, standard output, standard error."""

    def call(*words: object) -> Told:
        capsys.readouterr()
        try:
            cli.main([str(word) for word in words])
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = Told(code, *capsys.readouterr())
        assert "Traceback" not in told.err
        return told

    return call


@pytest.fixture(scope="module")
def table(smiles: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "assay.csv"
    rows = []
    for k, text in enumerate(smiles):
        measured, active = text.count("O") * 2 + len(text) / 100, "yes" if "O" in text else "no"
        rows.append(f"m{k},{text},{measured:.2f},{active},{min(k % 9, 1)},0")
    path.write_text("\n".join(["id,smiles,pIC50,active,w,zero", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def model(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "model"
    with pytest.raises(SystemExit, match="0"):
        cli.main(["train", str(table), "--target", "pIC50", "-o", str(path), *TINY])
    return path


# ---- train


def test_train_writes_a_model_and_a_report_and_tells(table: Path, tmp_path: Path, run: Any) -> None:
    words = ["train", table, "--target", "pIC50", "-o", tmp_path / "m", "--split", "random", "--json", *TINY]
    told = run(*words)
    assert told.code == 0
    said = json.loads(told.out)  # nothing but data on standard output
    assert said["task"] == "regression"
    assert said["split"]["sizes"] == [64, 8, 8]
    assert "rmse" in told.err
    assert f"Model: {tmp_path / 'm'}" in told.err
    assert {path.name for path in tmp_path.iterdir()} == {"m"}
    assert (tmp_path / "m" / "report.html").read_text().startswith("<!")
    card, _ = read_folder(tmp_path / "m")
    assert card["overrides"] == {"folds": "2", "trees": "5", "machine": "gp"}
    assert card["targets"] == ["pIC50"]
    assert card["columns"] == ["smiles"]
    assert card["data"]["sha256"][:12] in told.err
    split = load_split(tmp_path / "m" / "split.json", 80)
    assert split.sha256 == card["split"]["sha256"]
    tested = read_table(tmp_path / "m" / "test.csv").data.to_pylist()
    given = read_table(table).data.to_pylist()
    assert [int(row["row"]) - 1 for row in tested] == split.test.tolist()
    assert [row["pIC50"] for row in tested] == [f"{float(given[at]['pIC50']):g}" for at in split.test.tolist()]
    assert run("predict", tmp_path / "m", table, "-o", tmp_path / "p.csv").code == 0
    again = read_table(tmp_path / "p.csv").data["pIC50_pred"].to_pylist()
    answers = [float(again[at]) for at in split.test.tolist()]
    assert [float(row["pIC50_pred"]) for row in tested] == pytest.approx(answers, abs=1e-9)
    (tmp_path / "p.csv").unlink()
    first = read_folder(tmp_path / "m")[1]
    assert run(*words).code == 0  # a model may be replaced
    assert read_folder(tmp_path / "m")[1] == first


def test_a_model_reads_the_column_that_it_learned_from(smiles: list[str], tmp_path: Path, run: Any) -> None:
    rows = [f"CCO,{text},{10.0 ** (k % 5)},{'miss' if k % 2 else 'hit'}" for k, text in enumerate(smiles)]
    (tmp_path / "a.csv").write_text("\n".join(["smiles,salt free,nM,seen", *rows]) + "\n")
    words = ["train", tmp_path / "a.csv", "--smiles-column", "salt free", "-o", tmp_path / "m", *TINY]
    told = run(*words, "--target", "nM", "--to-pic50", "nM")
    assert "'nM' becomes pIC50 from 5.0 to 9.0, median 7.0." in told.err
    assert "nM_pred is a pIC50, and so are the ends of its interval." in told.err
    told = run("predict", tmp_path / "m", tmp_path / "a.csv", "-o", tmp_path / "p.csv")
    assert "nM_pred is a pIC50" in told.err
    assert len(set(read_table(tmp_path / "p.csv").data["nM_pred"].to_pylist())) > 10
    told = run("predict", tmp_path / "m", tmp_path / "a.csv", "-o", tmp_path / "q.csv", "--smiles-column", "smiles")
    assert len(set(read_table(tmp_path / "q.csv").data["nM_pred"].to_pylist())) == 1
    rows = [f"{text},CCO,{text}" for text in smiles[:30]]  # two columns look like structures, and none has its name
    (tmp_path / "b.csv").write_text("\n".join(["parent_smiles,salt_smiles,salt free", *rows]) + "\n")
    told = run("predict", tmp_path / "m", tmp_path / "b.csv", "-o", tmp_path / "r.csv")
    assert len(set(read_table(tmp_path / "r.csv").data["nM_pred"].to_pylist())) > 10
    told = run(*words, "--target", "nM", "--to-pic50", "M")
    assert "is the unit right?" in told.err
    told = run(*words, "--target", "seen")
    assert "seen_pred is the probability of 'miss'." in told.err
    assert "seen_pred is the probability of 'miss'." in run("predict", tmp_path / "m", "CCO").err


def columns_of(told: str, caption: str) -> list[list[str]]:
    """The cells of the table that stands under a line of the terminal; two blanks or more part them."""
    below = told.partition(caption)[2].splitlines()[1:]
    return [re.split(r" {2,}", line.strip()) for line in itertools.takewhile(lambda line: line.startswith(" "), below)]


def test_several_targets_are_told_one_by_one(smiles: list[str], tmp_path: Path, run: Any) -> None:
    rows = [f"{text},{text.count('O') + len(text) / 100:.2f},{100 * len(text)}" for text in smiles]
    (tmp_path / "a.csv").write_text("\n".join(["smiles,logS,mass", *rows]) + "\n")
    words = ["train", tmp_path / "a.csv", "--target", "logS", "--target", "mass", "-o", tmp_path / "m", *TINY]
    told = run(*words, "--split", "random", "--json")
    assert told.code == 0
    groups = json.loads(told.out)["metrics"]["test"]
    rmse = {target: one["value"] for target, one in groups["blend"]["rmse"]["targets"].items()}
    plain = {target: one["value"] for target, one in groups["mean"]["rmse"]["targets"].items()}
    assert "so it is regression. So is 'mass'." in told.err
    head, first, *_ = columns_of(told.err, "Test part (8 rows, 16 labels), mean of 2 targets:")
    assert (head, first[:2]) == (["r2", "spearman"], ["blend of all", f"{groups['blend']['r2']['value']:.3f}"])
    assert "rmse and mae are not averaged, because the targets differ in unit or scale." in told.err
    head, *lines = columns_of(told.err, "Each target:")
    assert head == ["rmse", "r2", "rmse of the mean", "labels"]
    assert [[line[0], line[1], line[3], line[4]] for line in lines] == [
        [target, f"{rmse[target]:.3f}", f"{plain[target]:.3f}", "8"] for target in ("logS", "mass")
    ]
    page = re.sub(r"<[^>]+>|\s+", " ", (tmp_path / "m" / "report.html").read_text(encoding="utf-8"))
    page = re.sub(r" +", " ", page)
    assert "r2, mean of 2 targets" in page
    assert "rmse, logS" in page
    assert "Each target: test part target rmse r2 rmse of the mean labels logS" in page
    assert f"{np.mean(list(rmse.values())):.3f}" not in told.err + page  # the mean over log mol/L and Da


def test_targets_of_one_scale_are_averaged(smiles: list[str], tmp_path: Path, run: Any) -> None:
    rows = [f"{text},{text.count('O') + len(text) / 100:.2f},{text.count('N') + len(text) / 99:.3f}" for text in smiles]
    (tmp_path / "a.csv").write_text("\n".join(["smiles,y,z", *rows]) + "\n")
    words = ["train", tmp_path / "a.csv", "--target", "y", "--target", "z", "-o", tmp_path / "m", *TINY]
    told = run(*words, "--split", "random").err
    assert columns_of(told, "mean of 2 targets:")[0] == ["rmse", "mae", "r2", "spearman"]
    assert "The targets are different quantities: a mean over them is the error of none." in told
    assert "rmse, mean of 2 targets" in (tmp_path / "m" / "report.html").read_text(encoding="utf-8")


def test_targets_without_a_value_are_named(smiles: list[str], tmp_path: Path, run: Any) -> None:
    rows = []
    for k, text in enumerate(smiles):
        cells = ["test" if k % 4 == 0 else "train", int("O" in text), int("N" in text and k % 4 > 0)]
        rows.append(",".join(map(str, [text, *cells, "" if k % 8 == 0 else cells[2]])))
    (tmp_path / "a.csv").write_text("\n".join(["smiles,part,a,b,c", *rows]) + "\n")
    words = ["train", tmp_path / "a.csv", *(word for name in "abc" for word in ("--target", name)), *TINY]
    told = run(*words, "--split-column", "part", "-o", tmp_path / "m").err
    assert "Test part (20 rows, 50 labels), mean over targets:" in told
    assert "roc-auc, prc-auc" in told
    assert ": mean of 1 of 3 targets (b and c: only one class)." in told
    assert [line[0::3] for line in columns_of(told, "Each target:")[1:]] == [["a", "20"], ["b", "20"], ["c", "10"]]
    page = (tmp_path / "m" / "report.html").read_text(encoding="utf-8")
    assert "<dt>roc-auc, mean of 1 of 3 targets (b and c: only one class)</dt>" in page
    assert page.count("undefined</td>") >= 4
    assert 'class="n">undefined</td>' in page
    assert "<td>undefined" not in page


def test_very_large_labels_keep_their_columns(smiles: list[str], tmp_path: Path, run: Any) -> None:
    rows = [f"{text},{1e12 * (text.count('O') + len(text) / 100):.6g}" for text in smiles]
    (tmp_path / "a.csv").write_text("\n".join(["smiles,y", *rows]) + "\n")
    told = run("train", tmp_path / "a.csv", "--target", "y", "-o", tmp_path / "m", *TINY, "--split", "random").err
    head, *lines = columns_of(told, "Test part (8 rows):")
    assert head == ["rmse", "mae", "r2", "spearman"]
    assert {len(line) for line in lines} == {5}
    assert all(re.fullmatch(r"[\d.]+e\+\d\d", cell) for line in lines for cell in line[1:3])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["none.csv", "--target", "y"], "There is no file 'none.csv'"),
        (["esol", "--target", "y"], "esol is a public data set: `tetramer datasets fetch esol` tells where"),
        (["{table}", "--target", "pic50"], "has no column 'pic50'. Did you mean 'pIC50'? Its columns are: 'id'"),
        (["{table}"], "Name the column to learn with --target. assay.csv has: 'id', 'smiles', 'pIC50'"),
        (["{table}", "--target", "id"], "holds 80 different texts"),
        (["{table}", "--target", "zero", "--task", "binary"], "All 80 labels in 'zero' are 0: one class only"),
        (["{table}", "--target", "zero"], "All 80 labels in 'zero' are 0"),
        (["{text}", "--target", "y"], "text in a numeric target (row 3: 'n.d.'"),
        (["{blank}", "--target", "y"], "No row has a label in 'y'"),
        (["{few}", "--target", "y"], "19 rows have a label; at least 20 are needed"),
        (["{table}", "--target", "pIC50", "--recipe", "graph", "--fusion", "mean"], "graph does not: take one such"),
        (["{table}", "--target", "pIC50", "--recipe", "graph+smiles", "--fusion", "sum"], "no fusion named 'sum'"),
        (["{table}", "--target", "pIC50", "--recipe", "grph"], "no recipe named 'grph'. Did you mean 'graph'?"),
        (["{table}", "--target", "pIC50", "--set", "depht=4"], "--set depht: no member has such a setting"),
        (["{table}", "--target", "pIC50", "--set", "trees"], "--set trees: write it as key=value"),
        (["{table}", "--target", "pIC50", "--set", "trees=many"], "it must be a whole number"),
        (["{table}", "--target", "zero", "--log10"], "a logarithm needs more than 0"),
        (["{table}", "--target", "pIC50", "--to-pic50", "nm"], "named 'nm'. Did you mean 'nM'?"),
        (["{table}", "--target", "pIC50", "--level", "95"], "--level 95.0 is not a probability"),
        (["{table}", "--target", "pIC50", "--split", "scafold"], "no split named 'scafold'. Did you mean 'scaffold'?"),
        (["{table}", "--target", "pIC50", "--smiles-column", "id"], "at least 20 are needed"),
        (["{table}", "--target", "pIC50", "--smiles-column", "smile"], "Did you mean 'smiles'?"),
        (["{table}", "--target", "pIC50", "--salts", "strip"], "salts='strip' is not known"),
        (["{table}", "--target", "pIC50", "--workers", "-1"], "workers=-1 is out of range"),
        (["{table}", "--target", "pIC50", "--seed", "-1"], "--seed -1"),
        (["{table}", "--target", "pIC50", "--weight-column", "zero"], "All weights in 'zero' are 0"),
        (["{table}", "--target", "pIC50", "--test", "none.csv"], "There is no file 'none.csv'"),
        (["{table}", "--target", "pIC50", "--test", "{table}", "--split", "random"], "exclude each other: a rule"),
        (["{table}", "--target", "pIC50", "--split-column", "id", "--split", "scaffold"], "looks at no column"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)  # fmt: skip
def test_mistakes_in_training(
    table: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    body = [f"{'C' * (k + 1)},{k}" for k in range(30)]
    files = {
        "{table}": table,
        "{text}": ["smiles,y", *body[:2], "CO,n.d.", *body[2:]],
        "{blank}": ["smiles,y", *(f"{'C' * (k + 1)}," for k in range(30))],
        "{few}": ["smiles,y", *body[:19]],
    }
    for name, lines in files.items():
        if isinstance(lines, list):
            (tmp_path / f"{name[1:-1]}.csv").write_text("\n".join(lines) + "\n")
            files[name] = tmp_path / f"{name[1:-1]}.csv"
    settings = [] if {"--recipe", "--workers", "--set"} & set(words) else TINY
    told = run("train", *(files.get(word, word) for word in words), "-o", "model", *settings)
    assert told.code == 2
    assert says in told.err
    assert told.err.count("error: ") == 1
    assert told.out == ""
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "model.parts").exists()


@pytest.mark.parametrize(("error", "stays"), [("no labels", False), (died(-9), True)])
@pytest.mark.parametrize("earlier", [False, True])
def test_unfinished_training_stays_where_it_is_of_use(
    table: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, error: str, stays: bool, earlier: bool
) -> None:
    (tmp_path / "m.parts").mkdir()
    if earlier:
        (tmp_path / "m.parts" / "pieces").mkdir()

    def refuse(_: Any, __: Any, parts: Path, *___: Any) -> None:
        (parts / "features").mkdir()
        raise UserError(error)

    monkeypatch.setattr("tetramer.modelling.train", refuse)
    assert run("train", table, "--target", "pIC50", "-o", tmp_path / "m", *TINY).code == 2
    assert (tmp_path / "m.parts").exists() == (stays or earlier)


def test_outputs_that_are_not_ours_are_left_alone(
    table: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "card.json").write_text('{"name": "a card of another program"}')
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    for output, says in (
        (tmp_path / "file", "is a file; --output names a folder"),
        (tmp_path / "file" / "model", "is a file; --output names a folder"),
        (tmp_path / "folder", "holds other files"),
        (tmp_path / "foreign", "holds other files"),
        (".", "is where you work"),
        ("..", "is where you work"),
    ):
        told = run("train", table, "--target", "pIC50", "-o", output, *TINY)
        assert (told.code, says in told.err) == (2, True), told.err
        assert run("demo", "-o", tmp_path / "file").code == 2
    assert {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_disk_that_refuses_is_74(table: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise DiskError("The disk is full.")

    monkeypatch.setattr("tetramer.inference.write_folder", full)
    told = run("train", table, "--target", "pIC50", "-o", tmp_path / "m", *TINY)
    assert (told.code, "error: The disk is full." in told.err) == (74, True)
    assert not (tmp_path / "m").exists()

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tetramer.assays.read_table", refuse)
    assert run("train", table, "--target", "pIC50", "-o", tmp_path / "m", *TINY).code == 74


@pytest.mark.parametrize(("number", "code"), [(15, 143), (2, 130)])
def test_stops_have_their_codes(
    table: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    def stopped(*_: Any) -> None:
        raise Stopped(number)

    def signalled(*_: Any) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    # A test run started in the background ignores Ctrl-C, and hands that on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for act in (stopped, signalled):
            monkeypatch.setattr("tetramer.assays.read_table", act)
            told = run("train", table, "--target", "pIC50", "-o", tmp_path / "m", *TINY)
            assert told.code == code
            assert "Stopped. If a part was finished it is kept" in told.err
    finally:
        signal.signal(signal.SIGINT, before)


# ---- several views in one network

ONCE = ["--set", "training.epochs=1", "--set", "encoder.graph.width=8", "--workers", "0"]


@pytest.mark.parametrize("join", ["residual", "concat", "mean", "gated", "attention"])
def test_fusions_are_trained_and_answer(join: str, run: Any, table: Path, tmp_path: Path) -> None:
    words = ["--recipe", "fingerprint+graph", "--fusion", join, *ONCE, "--set", "encoder.fingerprint.widths=8"]
    assert run("train", table, "--target", "pIC50", "-o", tmp_path / "m", *words).code == 0
    config = json.loads((tmp_path / "m" / "card.json").read_text())["members_config"]["fusion"]["config"]
    assert config["encoder_config"]["join"] == join
    told = run("predict", tmp_path / "m", "CCO", "--workers", "0")
    assert told.code == 0
    header, row = (line.split(",") for line in told.out.splitlines())
    assert np.isfinite(float(row[header.index("pIC50_pred")]))


def test_the_fusion_of_all_four_views(run: Any, table: Path, tmp_path: Path) -> None:
    """A molecule without a geometry has a number from the other three, and the status says so."""
    few = table.read_text().splitlines()[:31]
    (tmp_path / "few.csv").write_text("\n".join(few) + "\n")
    sizes = {"fingerprint.widths": 8, "smiles.width": 8, "smiles.depth": 1, "smiles.heads": 2, "conformer.width": 8}
    words = ["--recipe", "fusion", *ONCE, *(w for name, v in sizes.items() for w in ("--set", f"encoder.{name}={v}"))]
    assert run("train", tmp_path / "few.csv", "--target", "pIC50", "-o", tmp_path / "m", *words).code == 0
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["views"] == ["fingerprint", "smiles", "graph", "conformer"]
    assert card["geometries"]["made"] == 30
    (tmp_path / "asked.csv").write_text(f"smiles\nCCO\n{'C' * 300}\n")
    assert (
        run("predict", tmp_path / "m", tmp_path / "asked.csv", "-o", tmp_path / "o.parquet", "--workers", "0").code == 0
    )
    told = pq.read_table(tmp_path / "o.parquet")
    assert told["status"].to_pylist() == ["ok", "ok:CONF_NONE"]
    assert np.isfinite(told["pIC50_pred"].to_pylist()).all()


# ---- pretrain, and train --from

LITTLE = ["--workers", "0", "--set", "encoder.width=16", "--set", "encoder.depth=1", "--set", "encoder.embedding=8"]
LITTLE += ["--set", "training.epochs=1"]


@pytest.fixture(scope="module")
def encoder(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pretrained") / "encoder"
    with pytest.raises(SystemExit, match="0"):
        cli.main(["pretrain", "smiles-lstm", str(table), "-o", str(path), *LITTLE])
    return path


def test_pretrain_tells_what_came_of_it(table: Path, tmp_path: Path, run: Any) -> None:
    told = run("pretrain", "smiles-lstm", table, "-o", tmp_path / "e", "--json", *LITTLE)
    assert told.code == 0
    said = json.loads(told.out)
    assert (said["method"], said["corpus"]["name"], said["corpus"]["rows"]) == ("smiles-lstm", "assay.csv", 80)
    lines = told.err.splitlines()
    assert lines[0] == "80 molecules in 80 rows; 4 of them are held back to choose the weights."
    assert re.fullmatch(
        r"smiles-lstm, 4 steps\. Molecules that it had not seen \(4, \d+ tokens\): perplexity \d+\.\d{3}, "
        r"token accuracy 0\.\d{3}\.",
        lines[2],
    )
    assert re.fullmatch(r"smiles-lstm, epoch 1 of 1: loss \S+, validation \S+; the best so far\.", lines[1])
    assert [row["epoch"] for row in said["curve"]] == [1]
    flags = "--recipe smiles --set encoder=lstm --set encoder.width=16 --set encoder.depth=1 --set encoder.embedding=8"
    place = tmp_path / "e"
    assert lines[3] == f"Encoder: {place}   Begin with it: tetramer train DATA --target COLUMN {flags} --from {place}"
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_pretraining_reads_what_train_reads(table: Path, encoder: Path, tmp_path: Path, run: Any) -> None:
    """A list of SMILES and a Parquet file of the same molecules give the same weights."""
    data = read_table(table)
    (tmp_path / "m.smi").write_text("\n".join(data.texts) + "\n")
    pq.write_table(data.data, tmp_path / "m.parquet")
    wanted = read_folder(encoder)[1]
    for name in ("m.smi", "m.parquet"):
        assert run("pretrain", "smiles-lstm", tmp_path / name, "-o", tmp_path / "e", *LITTLE).code == 0
        assert read_folder(tmp_path / "e")[1] == wanted


def test_parts_of_a_corpus_are_named(table: Path, smiles: list[str], tmp_path: Path, run: Any) -> None:
    rows = [f"{text},{'test' if k < 20 else 'valid' if k < 25 else 'train'}" for k, text in enumerate(smiles)]
    (tmp_path / "d.csv").write_text("\n".join(["smiles,split", *rows]) + "\n")
    words = ["pretrain", "smiles-lstm", tmp_path / "d.csv", "-o", tmp_path / "e", *LITTLE]
    told = run(*words)
    assert (told.code, list(tmp_path.iterdir())) == (2, [tmp_path / "d.csv"])
    assert "has a column 'split' (55 train, 5 valid, 20 test)." in told.err
    told = run(*words, "--split-column", "split", "--json")
    assert told.err.splitlines()[:2] == [
        "Left out, as the test part: 20 of 80 rows.",
        "55 rows to learn from, 5 choose the weights.",
    ]
    assert json.loads(told.out)["validation"]["rows"] == 5
    told = run(*words, "--split-column", "none", "--validation", table)
    assert told.err.splitlines()[0].startswith("80 rows to learn from, 80 choose the weights; ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lstm", "TABLE"], "There is no method of pretraining named 'lstm'. Did you mean 'smiles-lstm'?"),
        (["smiles-lstm", "nowhere.csv"], "There is no file 'nowhere.csv'"),
        (["smiles-lstm", "TABLE", "--set", "epochs=3"], "Did you mean 'training.epochs'?"),
        (["smiles-lstm", "TABLE", "--smiles-column", "smile"], "has no column 'smile'. Did you mean 'smiles'?"),
        (["smiles-lstm", "TABLE", "--seed", "-3"], "--seed -3 is out of range. Choose 0 to 9999999."),
        (["smiles-lstm", "TABLE", "--smiles-column", "id"], "structures of the corpus can be read; at least 10"),
    ],
)
def test_wrong_pretraining_is_told_in_one_sentence(
    words: list[str], says: str, table: Path, tmp_path: Path, run: Any
) -> None:
    told = run("pretrain", *(str(table) if word == "TABLE" else word for word in words), "-o", tmp_path / "e", *LITTLE)
    assert told.code == 2
    assert says in told.err
    assert list(tmp_path.iterdir()) == []


def test_embed_with_an_encoder_and_predict_without_a_target(
    table: Path, encoder: Path, tmp_path: Path, run: Any
) -> None:
    assert run("embed", table, "--model", encoder, "-o", tmp_path / "e.parquet", "--workers", "0").code == 0
    out = pq.read_table(tmp_path / "e.parquet")
    assert out["embedding"].type.list_size == 16
    assert out["status"].to_pylist() == ["ok"] * 80
    for told in (run("predict", encoder, table), run("predict", encoder, "CCO")):
        assert told.code == 2
        assert told.err == (
            f"error: {encoder} is a pretrained encoder without a target, so it predicts nothing. Take its vectors: "
            f"tetramer embed DATA --model {encoder}; or train it on labels: tetramer train DATA --target COLUMN --from "
            f"{encoder}.\n"
        )


def test_train_from_an_encoder(table: Path, encoder: Path, tmp_path: Path, run: Any) -> None:
    words = ["train", table, "--target", "pIC50", "-o", tmp_path / "m", "--from", encoder, *LITTLE]
    told = run(*words, "--recipe", "smiles", "--set", "encoder=lstm")
    assert told.code == 0
    assert "The network smiles begins with 5 arrays of lstm from encoder." in told.err
    card = read_folder(tmp_path / "m")[0]
    assert card["from"] == {"name": "encoder", "kind": "encoder", "sha256": card["from"]["sha256"]}
    assert run("predict", tmp_path / "m", "CCO", "--workers", "0").code == 0
    wrong = run("train", table, "--target", "pIC50", "-o", tmp_path / "x", "--from", encoder, "--recipe", "graph")
    assert wrong.code == 2
    assert "encoder holds lstm (smiles-lstm), and no network of --recipe graph has an encoder" in wrong.err
    nowhere = run("train", table, "--target", "pIC50", "-o", tmp_path / "x", "--from", tmp_path / "nowhere", *TINY)
    assert (nowhere.code, nowhere.err.startswith("error: There is no model at")) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_workers_get_the_weights(table: Path, encoder: Path, tmp_path: Path, run: Any) -> None:
    """Two folds in two processes and in this one: the same members, each with the frozen encoder."""
    words = ["train", table, "--target", "pIC50", "--from", encoder, "--recipe", "smiles", "--set", "encoder=lstm"]
    words += ["--set", "folds=2", "--set", "training.pretrained=0"]
    for name, workers in (("one", 0), ("two", 2)):
        assert run(*words, "-o", tmp_path / name, *LITTLE, "--workers", workers).code == 0
    assert read_folder(tmp_path / "one")[1] == read_folder(tmp_path / "two")[1]
    given = unpack(read_folder(encoder)[1]["members/smiles-lstm/model.safetensors"], "model")
    for fold in (0, 1):
        arrays = unpack(read_folder(tmp_path / "two")[1][f"members/smiles.{fold}-0/model.safetensors"], "model")
        assert all(np.array_equal(arrays[name], value) for name, value in given.items() if name.startswith("encoder."))


# ---- predict and embed


def test_predict_exactly(model: Path, table: Path, tmp_path: Path, run: Any) -> None:
    told = run("predict", model, table, "-o", tmp_path / "out.csv", "--workers", "0", "--json")
    assert told.code == 0
    assert json.loads(told.out) == {"rows": 80, "status": {"ok": 80}, "output": str(tmp_path / "out.csv")}
    out = read_table(tmp_path / "out.csv").data
    assert out.column_names == [
        "id", "smiles", "pIC50", "active", "w", "zero", "pIC50_pred", "pIC50_lo", "pIC50_hi", "status", "reason",
    ]  # fmt: skip
    truth, answer = (np.array(out[name].to_pylist(), float) for name in ("pIC50", "pIC50_pred"))
    assert np.corrcoef(truth, answer)[0, 1] > 0.9
    wide = run("predict", model, table, "--level", "0.99", "--workers", "0")
    assert wide.out.splitlines()[0].endswith("status,reason")
    assert len(wide.out.splitlines()) == 81


def test_two_runs_with_one_output(run: Any, model: Path, table: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    with locked(tmp_path / "out.csv.parts"):
        told = run("predict", model, table, "--output", output)
    assert (told.code, "Another run is at work" in told.err, output.exists()) == (2, True, False)
    with locked(tmp_path / "model.parts"):
        told = run("train", table, "--target", "pIC50", "--output", tmp_path / "model", *TINY)
    assert (told.code, "Another run is at work" in told.err) == (2, True)


def test_one_smiles_on_the_command_line(model: Path, run: Any) -> None:
    for text in ("CCO", "[Na+].[Cl-]", "C/C=C/C", "OC(=O)" + "NCC(=O)" * 60 + "O"):
        told = run("predict", model, text, "--workers", "0")
        assert told.code == 0
        header, row = told.out.splitlines()
        assert header == "smiles,pIC50_pred,pIC50_lo,pIC50_hi,status,reason"
        assert row.startswith(text + ",")
        assert (",ok:NEW_ELEMENT,no training row has Na" if "Na" in text else ",ok,") in row
    told = run("predict", model, "CCO>>CC", "--workers", "0")
    assert (told.code, "give one molecule, not a reaction" in told.out) == (0, True)
    told = run("predict", model, "C1CC", "--workers", "0")
    assert (told.code, ",PARSE," in told.out) == (0, True)
    assert "1 row, 1 without a number (1 PARSE)." in told.err


def test_standard_input_and_output(model: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"smiles,n\nCCO,1\nbad,2\n,3\n"))))
    told = run("predict", model, "-", "--workers", "0")
    rows = told.out.splitlines()
    assert [row.split(",")[:2] for row in rows] == [["smiles", "n"], ["CCO", "1"], ["bad", "2"], ["", "3"]]
    assert told.err == "3 rows, 2 without a number (1 EMPTY, 1 PARSE).\n"
    sys.stdin.seek(0)
    devices = run("predict", model, "/dev/stdin", "--output=/dev/stdout", "--workers", "0")
    assert (devices.out, devices.err) == (told.out, told.err)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["none", "CCO"], "There is no model at none. Train one: tetramer train"),
        (["{data}", "CCO"], "is not a model folder: it has no card.json"),
        (["{model}", "none.csv"], "There is no file 'none.csv'"),
        (["{model}", "CCO>CC"], "There is no file 'CCO>CC' in "),
        (["{model}", "CCO>CC"], "It does not read as one SMILES either."),
        (["{model}", "not a molecule"], "It does not read as one SMILES either."),
        (["{model}", "C/C=X/C"], "It does not read as one SMILES either."),
        (["{model}", "InChI=1S/CH4/h1H4"], "'InChI=1S/CH4/h1H4' is an InChI. Give the molecule as SMILES."),
        (["{model}", ""], "The name of the input is empty."),
        (["{model}", "{table}", "--level", "0"], "--level 0.0 is not a probability"),
        (["{model}", "{table}", "--level", "nan"], "is not a probability"),
        (["{model}", "{table}", "--on-error", "ignore"], "--on-error 'ignore' is not known"),
        (["{model}", "{table}", "--smiles-column", "smile"], "Did you mean 'smiles'?"),
        (["{model}", "{table}", "-o", "out.xlsx"], "end its name in .csv"),
        (["{model}", "{table}", "-o", "{data}"], "end its name in"),
        (["{model}", "{table}", "-o", "{table}"], "is the input"),
        (["{model}", "{bad}", "--on-error", "fail"], "A structure was refused (row 2: PARSE"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_mistakes_in_predicting(
    model: Path, table: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("smiles\nCCO\nC1CC\n")
    places = {"{model}": model, "{table}": table, "{data}": table.parent, "{bad}": "bad.csv"}
    before = table.read_bytes()
    told = run("predict", *(places.get(word, word) for word in words), "--workers", "0")
    assert told.code == 2
    assert says in told.err
    assert table.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv"]


def test_spoilt_models_are_told(model: Path, table: Path, tmp_path: Path, run: Any) -> None:
    import shutil

    for place in ("card.json", "blend.safetensors"):
        shutil.copytree(model, tmp_path / place)
        data = (tmp_path / place / place).read_bytes()
        (tmp_path / place / place).write_bytes(data[:-1])
        told = run("predict", tmp_path / place, table, "--workers", "0")
        assert told.code == 2
        assert re.search(r"altered|not readable", told.err)


def test_classes(table: Path, tmp_path: Path, run: Any) -> None:
    assert run("train", table, "--target", "active", "-o", tmp_path / "m", *TINY).code == 0
    told = run("predict", tmp_path / "m", "CCO", "--workers", "0")
    assert told.out.splitlines()[0] == "smiles,active_pred,status,reason"
    assert float(told.out.splitlines()[1].split(",")[1]) > 0.5


def test_embed(table: Path, tmp_path: Path, run: Any) -> None:
    told = run("embed", table, "-o", tmp_path / "e.parquet", "--workers", "0")
    assert told.code == 0
    out = pq.read_table(tmp_path / "e.parquet")
    assert out.column_names[-3:] == ["embedding", "status", "reason"]
    assert out["embedding"].type.list_size == 2048
    told = run("embed", " CCO ", "--workers", "0")
    assert told.out.startswith("smiles,e0,e1,e2")
    assert "fingerprint view" in told.err


def test_a_model_without_a_network_has_no_vectors(model: Path, table: Path, tmp_path: Path, run: Any) -> None:
    told = run("embed", table, "--model", model, "-o", tmp_path / "e.parquet", "--workers", "0")
    assert (told.code, "has no network" in told.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_view_that_is_no_vector_is_told_alone_and_first(table: Path, tmp_path: Path, run: Any) -> None:
    both = run("embed", table, "--model", tmp_path, "--view", "fingerprint", "--workers", "0")
    assert both.code == 2
    assert "--model and --view exclude each other" in both.err
    told = run("embed", table, "--view", "graph", "-o", tmp_path / "e.parquet", "--workers", "0")
    assert told.code == 2
    assert told.err == "error: Without a model only the fingerprint view gives a vector; 'graph' needs --model.\n"
    assert list(tmp_path.iterdir()) == []


# ---- the rest


def test_usage_errors_are_2_and_help_is_0(run: Any) -> None:
    assert run("train").code == 2
    assert run("nonsense").code == 2
    assert run("predict", "m", "d", "--level", "high").code == 2
    for verb in cli.VERBS:
        told = run(verb, "--help")
        assert told.code == 0
        assert "Usage" in told.out
    assert re.fullmatch(r"\d+\.\d+\.\d+", run("--version").out.strip())


def test_doctor(run: Any) -> None:
    told = json.loads(run("doctor", "--json").out)
    assert told["worker processes"] == "work"
    assert told["torch"]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_help_starts_at_once_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, tetramer.cli as c\ntry: c.main(['--help'])\nfinally: print(sorted(sys.modules), file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in re.findall(r"'([\w.]+)'", told.stderr)}
    heavy = {"torch", "rdkit", "pyarrow", "sklearn", "numpy", "lightgbm", "scipy", "pandas", "matplotlib"}
    assert "typer" in loaded
    assert loaded & heavy == set()
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tetramer.cli", "--help"], env=environment(), capture_output=True, check=True
        )
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.8  # 0.4 s on a quiet machine


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_reader_that_goes_away_is_no_error(model: Path, table: Path) -> None:
    """`tetramer predict … | head -1`: a quiet end, exit 0."""
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "tetramer.cli", "predict", str(model), str(table), "--workers", "0"]
    told = subprocess.run(words, env=environment(), stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (told.returncode, told.stderr) == (0, "")


def test_audit_names_what_it_finds(run: Any, tmp_path: Path) -> None:
    rows = [f"{'C' * (k + 1)}O,{0.1 * k:.1f}" for k in range(30)]
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("\n".join(["smiles,y", *rows, "OC,9.0", "C1CC,1.0"]) + "\n")
    two.write_text("smiles,y\nOCC,1.0\nc1ccccc1,2.0\n")
    told = run("audit", one, "--target", "y", "--test", two, "--workers", "0")
    assert told.code == 0
    assert told.out.startswith("one.csv: 32 rows, 30 molecules; targets: y\n")
    assert re.search(r"alarm +Different labels of 'y'.*Rows 1, 31\.", told.out)
    assert re.search(r"alarm +.*Rows 1\.$", told.out.partition("two.csv")[2].splitlines()[1])
    codes = {finding["code"] for part in json.loads(run("audit", one, "--json").out) for finding in part["findings"]}
    assert {"CONFLICT", "DUPLICATE", "SANITIZE"} & codes >= {"CONFLICT", "DUPLICATE"}


def test_audit_says_how_many_rows_it_does_not_name(run: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("smiles,y\n" + "C1CC,1.5\n" * 1_300 + "CCO,2.5\n")
    told = run("audit", bad, "--workers", "0")
    assert re.search(r"alarm +1,300 rows cannot be read, PARSE.* Rows 1, 2, .*, 9, 10 and 1,290 more\.\n", told.out)


def test_datasets(run: Any) -> None:
    told = run("datasets")
    assert (told.code, len(told.out.splitlines())) == (0, 36)
    assert re.search(r"^chembl2321810 +1017 +1 +regression +bundled +verified +−log10 mol/L$", told.out, re.MULTILINE)
    assert re.search(r"^freesolv +642 +1 +regression +\S+ +unverified +kcal/mol$", told.out, re.MULTILINE)
    assert max(map(len, told.out.splitlines())) <= 100
    assert "licence, citation, known defects" in told.out.splitlines()[-1]
    told = run("datasets", "chembl2321810")
    assert "labels     pIC50 (−log10 mol/L)" in told.out
    assert len(run("datasets", "fetch", "chembl2321810").out.splitlines()) == 2
    assert json.loads(run("datasets", "esol", "--json").out)[0]["rows"] == 1128
    told = run("datasets", "esoll")
    assert (told.code, "Did you mean 'esol'" in told.err) == (2, True)
    assert run("datasets", "fetch").code == 2
    assert run("datasets", "esol", "bace").err == "error: One data set at a time, please; got esol, bace.\n"
    assert run("datasets", "fecth", "esol").err.endswith("got fecth, esol. Is 'fecth' meant as fetch?\n")
    told = run("datasets", "esol", "--accept-unverified")
    assert (told.code, "tetramer datasets fetch NAME --accept-unverified" in told.err) == (2, True)


def test_names_that_chemprop_has_are_understood(table: Path, tmp_path: Path, run: Any) -> None:
    words = ("--target-columns", "pIC50", "--smiles-columns=smiles", "--output-dir", tmp_path / "m")
    assert run("train", table, *words, *TINY).code == 0
    assert (tmp_path / "m" / "card.json").is_file()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("-i", "name the file without a flag"),
        ("--epochs=3", "--set training.epochs=N"),
        ("--task-type", "--task, with"),
    ],
)
def test_flags_of_chemprop_that_need_a_word(table: Path, run: Any, word: str, says: str) -> None:
    told = run("train", word, table)
    assert told.code == 2
    assert told.err.startswith(f"error: {word.partition('=')[0]} is a flag of chemprop. Here: {says}")


def test_the_name_of_a_file_may_hold_commas(table: Path, tmp_path: Path, run: Any) -> None:
    path = tmp_path / "my, tab le ü.csv"
    path.write_bytes(table.read_bytes())
    told = run("benchmark", "--methods", "mean", "--data", path, "-o", tmp_path / "rows")
    assert told.code == 2
    assert f"{path.name} with --target." in told.err


def test_a_name_that_is_nearly_a_data_set_is_told(run: Any) -> None:
    told = run("audit", "clintoxx")
    assert told.err == "error: 'clintoxx' is neither a data set nor a file. Did you mean 'clintox'?\n"
