"""Arrows point down only, and what every file of the packages must keep to."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("concord", "client_app", "strategies", "server_app", "peer_app")
FORBIDDEN = {
    "concord": {"client_app", "strategies", "server_app", "peer_app"},
    "client_app": {"strategies", "server_app", "peer_app"},
    "strategies": {"client_app", "server_app", "peer_app"},
    "server_app": {"peer_app"},
    "peer_app": {"server_app"},
}
# Inside functions only, so that help is there at once: the command line, and what a user imports.
MAY_LOOK_UP = ("concord/cli.py", "concord/commands/", "concord/__init__.py")
MOST_LINES = 400
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "torch.save", "pandas.read_pickle"}


def sources(*packages: str) -> list[Path]:
    """Files that people wrote."""
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py") if "wire/v1" not in path.as_posix())


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(node: ast.AST, *, lazy: bool = False) -> Iterator[tuple[str, bool]]:
    """Every module that is imported, and whether only inside a function or for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield ("." * child.level + (child.module or ""), lazy)
        else:
            is_guard = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(child, lazy=lazy or is_guard or is_function)


def breaches(path: Path, tree: ast.AST) -> list[str]:
    forbidden = FORBIDDEN[named(path).partition("/")[0]]
    may_look_up = named(path).startswith(MAY_LOOK_UP)
    found = []
    for module, lazy in imports(tree):
        if module.startswith("."):
            found.append(f"{named(path)}: relative import {module}")
        elif module.partition(".")[0] in forbidden and not (lazy and may_look_up):
            found.append(f"{named(path)} imports {module}")
    return found


def test_arrows_point_down_only() -> None:
    assert len(sources(*PACKAGES)) > 50
    assert [b for path in sources(*PACKAGES) for b in breaches(path, ast.parse(path.read_text()))] == []


@pytest.mark.parametrize(
    ("file", "code", "is_breach"),
    [
        ("strategies/x.py", "import client_app.node", True),
        ("strategies/x.py", "def f():\n    from server_app import run", True),
        ("client_app/x.py", "from strategies.rules import Mean", True),
        ("concord/x.py", "def f():\n    import strategies", True),
        ("concord/cli.py", "import strategies.registry", True),
        ("concord/cli.py", "def f():\n    import strategies.registry", False),
        ("concord/commands/x.py", "if TYPE_CHECKING:\n    from server_app.results import Result", False),
        ("server_app/x.py", "import strategies, client_app, concord", False),
        ("concord/__init__.py", "import client_app.inference.folder", True),
        ("concord/__init__.py", "def f():\n    import client_app.inference.folder", False),
        ("concord/x.py", "from . import config", True),
        ("server_app/x.py", "from peer_app.mailbox import Mailbox", True),
        ("peer_app/x.py", "import client_app, strategies", False),
        ("concord/cli.py", "def f():\n    from peer_app import tls", False),
    ],
)
def test_the_check_of_arrows_sees_breaches(file: str, code: str, is_breach: bool) -> None:
    assert bool(breaches(ROOT / file, ast.parse(code))) == is_breach


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {named(path): len(path.read_text().splitlines()) for path in sources(*PACKAGES, "tests")}
    assert {file: lines for file, lines in lengths.items() if lines > MOST_LINES} == {}


def unsafe(tree: ast.AST) -> list[str]:
    found = [module for module, _ in imports(tree) if module.partition(".")[0] in UNSAFE_MODULES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            pickles = any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)
            if name in UNSAFE_CALLS or pickles:
                found.append(ast.unparse(node))
    return found


def test_nothing_is_unpickled_or_evaluated() -> None:
    assert {named(path): found for path in sources(*PACKAGES) if (found := unsafe(ast.parse(path.read_text())))} == {}


@pytest.mark.parametrize(
    ("code", "is_unsafe"),
    [
        ("import pickle", True),
        ("torch.load(path)", True),
        ("eval(text)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("model.eval()", False),
    ],
)
def test_the_check_of_unsafe_code_sees_it(code: str, is_unsafe: bool) -> None:
    assert bool(unsafe(ast.parse(code))) == is_unsafe


def test_every_package_file_says_what_it_is_for() -> None:
    assert [named(path) for path in sources(*PACKAGES) if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_no_two_files_of_tests_have_one_name() -> None:
    """They would be one module to pytest, which imports them by their names alone."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
