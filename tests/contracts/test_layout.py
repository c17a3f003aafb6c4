"""The layout is a contract: the order of imports, the place of third parties, and the house numbers."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tetramer"
MODULES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# The order in which a molecule passes through. A module imports only from modules above it.
ORDER = ["errors", "settings", "metrics", "molecules", "views", "datasets"]
ORDER += ["layers", "encoders", "objectives", "optimizers", "training", "checkpoint", "resuming", "overrides"]
ORDER += ["recipes", "members"]
ORDER += [
    "inference",
    "scoring",
    "assays",
    "reading",
    "planning",
    "modelling",
    "corpora",
    "corpus_parts",
    "isomers",
    "equivalence",
    "validation",
    "pretraining",
    "generation",
    "ranking",
    "predictor",
    "shards",
    "geometries",
    "decomposition",
]
ORDER += ["space", "benchmark", "explorer", "cluster", "studies", "doctor", "terminal", "verbs", "cli"]

# third party → the only layers that may import it
PLACE: dict[str, set[str]] = {
    "crepes": {"members"},
    "jinja2": {"benchmark"},
    "joblib": set(),
    "lightgbm": {"members"},
    "matplotlib": {"space", "benchmark"},
    "numba": {"layers"},
    "pandas": set(),
    "pickle": set(),
    "polars": set(),
    "rdkit": {"molecules", "views"},
    "safetensors": {"checkpoint", "members"},
    "sklearn": {"members", "predictor", "benchmark"},
    "torch": set(ORDER[ORDER.index("layers") :]) - {"verbs", "cli"},
    "typer": {"verbs", "cli"},
}
LAZY = {
    "cli.py",
    "terminal.py",
    "__init__.py",
    "__main__.py",
}  # they load what a verb or a name needs when it is needed

# calls and arguments that may run code out of a file or a text
FORBIDDEN = {"eval", "exec", "compile", "torch.load", "yaml.load", "os.system"}
FORBIDDEN_KEYS = {"allow_pickle", "shell", "weights_only"}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def layer(path: Path) -> str:
    """The layer a file belongs to: the first part of its path inside the package."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, full name) of everything imported anywhere in a tree; `from a import b` is both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def backward(here: str, text: str) -> list[str]:
    """The imports in `text` that do not point to a layer above `here`."""
    named = {(line, *name.split(".")[:2]) for line, name in imports(ast.parse(text)) if name.startswith("tetramer.")}
    wrong = [(line, there) for line, _, there in named if there in ORDER and there != here]
    return [f"line {line}: {there}" for line, there in sorted(wrong) if ORDER.index(there) > ORDER.index(here)]


def misplaced(here: str, text: str) -> list[str]:
    """The third parties in `text` that have no business in layer `here`."""
    named = sorted({(line, name.split(".")[0]) for line, name in imports(ast.parse(text))})
    return [f"line {line}: {name}" for line, name in named if here not in PLACE.get(name, {here})]


def hidden(text: str) -> list[int]:
    """Lines inside functions that import from tetramer: they hide what a module depends on."""
    inside = (found for function in functions(ast.parse(text)) for found in imports(function))
    return sorted({line for line, name in inside if name.split(".")[0] == "tetramer"})


def broad(text: str) -> list[int]:
    """Lines of handlers that catch everything."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or getattr(kind, "id", "") in {"Exception", "BaseException"} for kind in kinds):
                found.append(node.lineno)
    return found


def unsafe(text: str) -> list[str]:
    """Calls that may run code out of a file or a text."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    named = [(call.lineno, ast.unparse(call.func)) for call in calls]
    keys = [(call.lineno, keyword.arg) for call in calls for keyword in call.keywords]
    hits = [hit for hit in named if hit[1] in FORBIDDEN] + [hit for hit in keys if hit[1] in FORBIDDEN_KEYS]
    return [f"line {line}: {what}" for line, what in hits]


def long(text: str) -> list[str]:
    """Functions over 60 lines or 10 arguments."""
    found = []
    for function in functions(ast.parse(text)):
        lines = (function.end_lineno or 0) - function.lineno + 1
        arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
        if lines > 60 or len(arguments) > 10:
            found.append(f"line {function.lineno}: {function.name}, {lines} lines, {len(arguments)} arguments")
    return found


def undocumented(text: str) -> list[str]:
    """The public functions at the top of a module, and the module itself, that have no docstring."""
    tree = ast.parse(text)
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    tops = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    missing = [f"line {node.lineno}: {node.name}" for node in tops if not ast.get_docstring(node)]
    return missing + ([] if ast.get_docstring(tree) or not tree.body else ["the module"])


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


@every_module
def test_imports_point_backwards(path: Path) -> None:
    if path.parent == SOURCE and path.name in LAZY - {"cli.py"}:
        pytest.skip("the package's face stands before everything and imports only when asked")
    assert layer(path) in ORDER, f"{layer(path)} is new: give it a place in ORDER"
    assert backward(layer(path), read(path)) == []


@every_module
def test_third_parties_stay_in_their_place(path: Path) -> None:
    assert misplaced(layer(path), read(path)) == []


@every_module
def test_own_imports_stand_at_the_top(path: Path) -> None:
    if layer(path) == "verbs" or (path.parent == SOURCE and path.name in LAZY):
        pytest.skip("loads what is needed when it is needed")
    assert hidden(read(path)) == []


@every_module
def test_files_and_functions_are_short(path: Path) -> None:
    assert read(path).count("\n") <= 400
    if layer(path) != "verbs":  # a verb's signature is its list of flags
        assert long(read(path)) == []


@every_module
def test_nothing_is_swallowed_and_no_file_runs_code(path: Path) -> None:
    assert broad(read(path)) == []
    assert unsafe(read(path)) == []


@every_module
def test_what_is_public_is_documented(path: Path) -> None:
    assert undocumented(read(path)) == []


@pytest.mark.parametrize("path", MODULES + TESTS, ids=name_of)
def test_no_file_names_a_place_on_one_machine(path: Path) -> None:
    assert re.findall(r"(?<![\w.])/(?:work|root|home/\w+)/", read(path)) == []


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    assert [name_of(path) for path in MODULES if path.stem in {"utils", "util", "common", "helpers", "misc"}] == []


@pytest.mark.parametrize("name", ["tetramer", "tetramer.views.read", "tetramer.datasets.splits", "tetramer.metrics"])
def test_light_imports_stay_light(name: str) -> None:
    """Workers start fast and `import tetramer` is quick."""
    heavy = ["torch", "sklearn", "pandas", "lightgbm", "matplotlib"]
    check = f"import sys, {name}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_help_does_not_load_torch() -> None:
    watch = (
        "import sys\nfrom tetramer.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    print('code', end.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1:] == ["code 0 False"], done.stderr


# The checks above say nothing unless they can fail: each is shown a fault.


def test_the_order_check_sees_a_backward_import() -> None:
    assert backward("molecules", "from tetramer.views import graph") == ["line 1: views"]
    assert backward("molecules", "def f():\n    from tetramer import training") == ["line 2: training"]
    assert backward("training", "from tetramer.views import graph\nimport tetramer.errors") == []


def test_the_third_party_check_sees_torch_in_a_view() -> None:
    assert misplaced("views", "import numpy\nimport torch.nn as nn") == ["line 2: torch"]
    assert misplaced("datasets", "def f():\n    from rdkit import Chem") == ["line 2: rdkit"]
    assert misplaced("encoders", "from torch import nn") == []


def test_the_import_check_sees_a_hidden_import() -> None:
    assert hidden("import tetramer\ndef f():\n    import tetramer.views\n    import json") == [3]


def test_the_handler_check_sees_broad_excepts() -> None:
    assert broad("try:\n    a\nexcept ValueError:\n    b\nexcept (KeyError, Exception):\n    c\nexcept:\n    d") == [
        5,
        7,
    ]


def test_the_code_check_sees_calls_that_run_files() -> None:
    text = "model.eval()\neval('1')\ntorch.load(f, weights_only=False)\nrun(c, shell=True)"
    assert unsafe(text) == ["line 2: eval", "line 3: torch.load", "line 3: weights_only", "line 4: shell"]


def test_the_length_check_sees_long_functions_and_signatures() -> None:
    assert long("def f(a):\n" + "    a\n" * 59) == []
    assert long("def f(a):\n" + "    a\n" * 60) == ["line 1: f, 61 lines, 1 arguments"]
    assert long("def f(a, b, c, d, e, /, f, g, h, *, i, j, k): ...") == ["line 1: f, 1 lines, 11 arguments"]


def test_the_docstring_check_sees_what_is_missing() -> None:
    assert undocumented('"""Module."""\ndef f(): ...\ndef _g(): ...\ndef h():\n    """Yes."""\n') == ["line 2: f"]
    assert undocumented("X = 1") == ["the module"]
