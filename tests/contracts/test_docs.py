"""The documentation says what is there: verbs, flags, table keys, codes and errors are held against the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tetramer.cli import main
from tetramer.datasets.splits import SPLITS
from tetramer.recipes import RECIPES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
VERBS = ("train", "predict", "embed", "doctor", "demo")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def help_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `tetramer VERB …` in a page."""
    for found in re.finditer(r"^tetramer .*$|`tetramer [^`]+`", text, re.MULTILINE):
        yield found.group().strip("`").split()[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_pages_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        if words[0].isupper():
            continue  # `tetramer VERB --help`
        assert words[0] in VERBS, f"{page.name} shows `tetramer {words[0]}`"
        shown = help_of(words[0], capsys)
        flags = [word for word in words if re.fullmatch(r"--[a-z][\w-]*", word)]
        assert [flag for flag in flags if flag not in shown] == []


@pytest.mark.parametrize(("page", "verb"), [("train", "train"), ("predict", "predict"), ("embed", "embed")])
def test_flags_in_a_verbs_page_exist(page: str, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(verb, capsys)
    flags = set(re.findall(r"`(--[a-z][\w-]*)", read(f"docs/{page}.md")))
    assert sorted(flag for flag in flags if flag not in shown) == []


def test_recipes_and_splits_are_described() -> None:
    assert [name for name in RECIPES if f"`{name}`" not in read("docs/train.md")] == []
    assert [name for name in SPLITS if f"`{name}`" not in read("docs/splits.md")] == []


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
