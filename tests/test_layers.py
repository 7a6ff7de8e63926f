"""Imports point down only, siblings do not import each other, and what answers at once imports nothing heavy."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

import fiducial

PACKAGE = Path(fiducial.__file__).parent
CONF = Path(__file__).parents[1] / "conf"
# From top to bottom; what stands in one row are siblings.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("sweeps",),
    ("runs",),
    ("reports",),
    ("tasks",),
    ("paired",),
    ("data", "models", "losses", "metrics", "tracking", "statistics", "hardware", "checkpoints"),
    ("config", "types", "randomness", "ranks"),
    ("errors", "garbage", "objective", "redaction", "wording"),
)
HEAVY = {
    "torch",
    "pytorch_lightning",
    "monai",
    "mlflow",
    "pandas",
    "matplotlib",
    "scipy",
    "sklearn",
    "torchmetrics",
    "optuna",
}


def name_of(file: Path) -> str:
    """Return a module's name inside the package: `data.source`, or an empty string for the package itself."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in PACKAGE.rglob("*.py")}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the absolute names that import statements name; the package writes no relative ones."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole.removeprefix("fiducial.") in MODULES else str(node.module)


def at_import(module: str) -> Iterator[ast.AST]:
    """Yield the statements that run when a module is imported."""
    pending: list[ast.AST] = list(tree(module).body)
    while pending:
        node = pending.pop()
        yield node
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not typing_only and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += ast.iter_child_nodes(node)


def own(names: Iterable[str]) -> set[str]:
    """Return which of the imported names are modules of the package, without its name in front."""
    return {name.removeprefix("fiducial.") for name in names if name.startswith("fiducial.")}


def layer(module: str) -> int:
    head = module.partition(".")[0]
    return next(number for number, row in enumerate(LAYERS) if head in row)


def test_every_module_is_in_a_layer() -> None:
    heads = {module.partition(".")[0] for module in MODULES if module}
    assert heads == {head for row in LAYERS for head in row}


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {""}))
def test_imports_point_down(module: str) -> None:
    head = module.partition(".")[0]
    others = {name for name in own(imported(ast.walk(tree(module)))) if name.partition(".")[0] != head}
    assert [name for name in others if layer(name) <= layer(module)] == []


def test_the_package_itself_imports_nothing() -> None:
    assert list(imported(ast.walk(tree("")))) == []


def loaded(module: str) -> set[str]:
    """Return all modules of the package that importing one loads, its packages among them."""
    found: set[str] = set()
    pending = {module}
    while pending:
        name = pending.pop()
        found.add(name)
        parts = name.split(".")
        around = {".".join(parts[:n]) for n in range(1, len(parts))}
        pending |= (around | own(imported(at_import(name)))) & MODULES.keys() - found
    return found


def sources() -> set[str]:
    """Return the modules of the sources that options of the group `data` name."""
    contents = (yaml.safe_load(file.read_text()) for file in (CONF / "data").glob("*.yaml"))
    targets = {content["source"].get("_target_", "") for content in contents if "source" in content}
    return own(target.rpartition(".")[0] for target in targets)


LIGHT = sorted({name for name in MODULES if name.partition(".")[0] in ("cli", "config", "errors")} | sources())


def test_there_are_sources() -> None:
    assert {"data.phantom", "data.medmnist"} <= sources()


@pytest.mark.parametrize("module", LIGHT)
def test_nothing_heavy_is_imported(module: str) -> None:
    heavy = {
        (name, package)
        for name in loaded(module)
        for package in {found.partition(".")[0] for found in imported(at_import(name))} & HEAVY
    }
    assert heavy == set()
