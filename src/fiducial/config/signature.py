"""The arguments that a class or function takes, read from its source without importing it.

A constructor's signature is the schema of a component. Importing `torch.optim.SGD` to learn that it has no
argument `lrr` costs seconds; parsing one file costs milliseconds.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

MAX_DEPTH = 8


@dataclass(frozen=True)
class Signature:
    """Argument names of a callable.

    Attributes:
        names: every argument that can be given by name.
        required: those without a default.
        open: whether any other name is accepted too (`**kwargs`).
    """

    names: tuple[str, ...]
    required: tuple[str, ...] = ()
    open: bool = False


def signature(target: str) -> Signature | None:
    """Return the arguments of `package.module.Name`, or None where its source does not tell.

    >>> signature("difflib.Differ").names
    ('linejunk', 'charjunk')
    """
    found = _definition(target)
    return None if found is None else _signature(*found)


def exists(target: str) -> bool | None:
    """Tell whether `package.module.Name` is defined; None where the source does not tell."""
    module, _, name = target.rpartition(".")
    while module and _source(module) is None:
        module, _, head = module.rpartition(".")
        name = f"{head}.{name}"
    if not module:
        return None if target.partition(".")[0] in sys.builtin_module_names else False
    return True if _lookup(module, name.partition(".")[0], 0) else None


Definition = tuple[str, ast.ClassDef | ast.FunctionDef]


def _definition(target: str) -> Definition | None:
    module, _, name = target.rpartition(".")
    return _lookup(module, name, 0) if module and _source(module) else None


@lru_cache(maxsize=256)
def _source(module: str) -> Path | None:
    """Return the file of a module, found segment by segment without importing any package."""
    search: list[str] | None = None
    spec = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, search)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or [])
    origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


@lru_cache(maxsize=256)
def _tree(module: str) -> ast.Module | None:
    file = _source(module)
    return ast.parse(file.read_bytes()) if file else None


def _lookup(module: str, name: str, depth: int) -> Definition | None:
    """Find where `name` of `module` is defined, following re-exports."""
    tree = _tree(module)
    if tree is None or depth > MAX_DEPTH:
        return None
    stars = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom):
            origin = _absolute(module, node)
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _lookup(origin, alias.name, depth + 1)
                if alias.name == "*":
                    stars.append(origin)
    found = (_lookup(origin, name, depth + 1) for origin in stars)
    return next((definition for definition in found if definition), None)


def _absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    file = _source(module)
    package = module.split(".") if file and file.name == "__init__.py" else module.split(".")[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def _signature(module: str, node: ast.ClassDef | ast.FunctionDef, depth: int = 0) -> Signature | None:
    if isinstance(node, ast.FunctionDef):
        return _arguments(node.args, skip=0)
    if depth > MAX_DEPTH:
        return None
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            own = _arguments(item.args, skip=1)
            inherited = _inherited(module, node, depth) if own.open else None
            return _merge(own, inherited) if inherited else own
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return _fields(node)
    return _inherited(module, node, depth) or (Signature(()) if not node.bases else None)


def _inherited(module: str, node: ast.ClassDef, depth: int) -> Signature | None:
    for base in node.bases:
        if isinstance(base, ast.Name):
            found = _lookup(module, base.id, 0)
            if found and (inherited := _signature(*found, depth + 1)):
                return inherited
    return None


def _merge(own: Signature, inherited: Signature) -> Signature:
    """Join the arguments of a constructor with those that its `**kwargs` may pass on."""
    return Signature((*own.names, *inherited.names), own.required, open=True)


def _arguments(args: ast.arguments, skip: int) -> Signature:
    positional = [*args.posonlyargs, *args.args][skip:]
    with_default = len(args.defaults)
    required = positional[: len(positional) - with_default]
    required += [arg for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default is None]
    names = tuple(arg.arg for arg in [*positional, *args.kwonlyargs])
    return Signature(names, tuple(arg.arg for arg in required), open=args.kwarg is not None)


def _fields(node: ast.ClassDef) -> Signature:
    items = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    names = tuple(item.target.id for item in items if isinstance(item.target, ast.Name))
    required = tuple(
        item.target.id for item in items if item.value is None and isinstance(item.target, ast.Name)
    )
    return Signature(names, required)
