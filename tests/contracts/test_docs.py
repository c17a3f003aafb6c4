"""The documentation says what is there: verbs, flags, table keys, codes and errors are held against the code."""

import ast
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from tetramer.cli import VERBS
from tetramer.datasets.splits import SPLITS
from tetramer.pretraining import METHODS
from tetramer.recipes import RECIPES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def flags_of(verb: str) -> set[str]:
    """Every flag of a verb, as the parser has them."""
    app = typer.Typer(add_completion=False)
    app.command()(VERBS[verb])
    parameters = typer.main.get_command(app).params
    return {"--help"} | {flag for one in parameters for flag in [*one.opts, *one.secondary_opts] if flag[0] == "-"}


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `tetramer VERB …`, in a block of shell lines or within a sentence."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in [*"".join(blocks).splitlines(), *re.findall(r"`(tetramer [^`]+)`", prose)]:
        if line.startswith("tetramer "):
            yield shlex.split(line)[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_pages_exist(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        if words[0].isupper():
            continue  # `tetramer VERB --help`
        assert words[0] in VERBS
        flags = {word for word in words if re.fullmatch(r"--?[a-z][\w-]*", word)}
        assert flags - flags_of(words[0]) == set()


@pytest.mark.parametrize(
    ("page", "verb"),
    [
        ("train", "train"),
        ("pretrain", "pretrain"),
        ("rank", "rank-products"),
        ("predict", "predict"),
        ("embed", "embed"),
        ("standardisation", "train"),
    ],
)
def test_flags_in_a_verbs_page_exist(page: str, verb: str) -> None:
    named = set(re.findall(r"`(--[a-z][\w-]*)", read(f"docs/{page}.md")))
    assert named - flags_of(verb) == set()


def test_every_verb_and_flag_is_described() -> None:
    everything = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [verb for verb in VERBS if f"tetramer {verb}" not in everything] == []
    aliases = {"-o", "--help"}
    flags = {flag for verb in VERBS for flag in flags_of(verb)} - aliases
    assert sorted(flag for flag in flags if flag not in everything) == []


def test_recipes_and_splits_are_described() -> None:
    assert [name for name in RECIPES if f"`{name}`" not in read("docs/train.md")] == []
    assert [name for name in SPLITS if f"`{name}`" not in read("docs/splits.md")] == []


def test_methods_of_pretraining_are_described() -> None:
    assert [name for name in METHODS if f"`{name}`" not in read("docs/pretrain.md")] == []


def test_status_codes_are_described() -> None:
    codes = ["EMPTY", "CONTROL_CHAR", "TOO_LONG", "PARSE", "SANITIZE", "TOO_BIG", "TIMEOUT", "CRASH", "OOM"]
    for page in ("docs/predict.md", "docs/errors.md"):
        assert [code for code in codes if f"`{code}`" not in read(page)] == []


def messages() -> Iterator[tuple[str, str]]:
    """(where, longest constant part) of every message of a UserError or DiskError in the source."""
    for path in sorted((ROOT / "src" / "tetramer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"UserError", "DiskError"}
            if not named or not isinstance(node, ast.Call) or not node.args:
                continue
            texts = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
            longest = max((text.strip() for text in texts if isinstance(text, str)), key=len, default="")
            if len(longest) >= 12:
                yield f"{path.relative_to(ROOT).as_posix()}:{node.lineno}", longest


def test_every_error_is_described() -> None:
    page = re.sub(r"\s+", " ", read("docs/errors.md"))
    missing = [f"{where}: {text}" for where, text in messages() if re.sub(r"\s+", " ", text) not in page]
    assert missing == [], "give each a line in docs/errors.md"


@pytest.mark.parametrize(("name", "page"), [("results_page", "results"), ("study_page", "study-results")])
def test_the_page_of_results_is_that_of_the_rows(
    name: str, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"))
    known = script["main"].__globals__
    pages = {"PAGE": f"docs/{page}.md"} | ({"README": "README.md"} if "README" in known else {})
    for variable, path in pages.items():
        (tmp_path / variable).write_text(read(path), encoding="utf-8")
        monkeypatch.setitem(known, variable, tmp_path / variable)
    script["main"]()
    for variable, path in pages.items():
        assert (tmp_path / variable).read_text(encoding="utf-8") == read(path), "run the script again"


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda script: script.stem)
def test_every_script_that_measures_can_start(script: Path) -> None:
    """What it imports and names at the top is there."""
    assert callable(runpy.run_path(str(script))["main"])
