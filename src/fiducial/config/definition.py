"""Where a dotted name is defined, found in source files without importing them.

Importing `torch.optim.SGD` to learn what it takes costs seconds. Parsing the few statements of a file that
mention it costs a millisecond.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import decode_source, find_spec
from pathlib import Path
from pkgutil import iter_modules

from fiducial.errors import InputError, nearest

MAX_DEPTH = 8  # of re-exports that are followed
STATEMENT = re.compile(r"^(?=[^\s#)\]}'\"])", re.MULTILINE)
BLOCKS = ("class ", "def ", "async ", "@")
CONTINUED = re.compile(r"(elif|else|except|finally)\b")
UNTOLD = re.compile(r"\bdef __getattr__\b|\bglobals\(\)|\bsys\.modules\[__name__\]|\bexec\(")


@dataclass(frozen=True)
class Definition:
    """What a name stands for.

    Attributes:
        module: the module whose file defines it.
        node: a class, a function, or the value that is assigned to the name.
    """

    module: str
    node: ast.ClassDef | ast.FunctionDef | ast.expr


def find(target: str) -> Definition | None:
    """Return the definition of `package.module.Name`, or None where source files do not tell."""
    module, _, name = target.rpartition(".")
    return look_up(module, name) if module else None


def look_up(module: str, name: str, depth: int = 0) -> Definition | None:
    """Return what `name` stands for in `module`, following imports and other names for the same."""
    if depth > MAX_DEPTH:
        return None
    stars = []
    for node in _statements(module, name):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return Definition(module, node)
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            same = node.value.id if isinstance(node.value, ast.Name) else None
            return look_up(module, same, depth + 1) if same else Definition(module, node.value)
        if isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return look_up(origin, alias.name, depth + 1)
                if alias.name == "*":
                    stars.append(origin)
    found = (look_up(origin, name, depth + 1) for origin in stars)
    return next((definition for definition in found if definition), None)


def look_up_dotted(module: str, expression: ast.expr) -> Definition | None:
    """Return what `Name` or `package.Name`, written in `module`, stands for."""
    if isinstance(expression, ast.Name):
        return look_up(module, expression.id)
    if not isinstance(expression, ast.Attribute):
        return None
    head, *rest = ast.unparse(expression).split(".")
    for node in _statements(module, head):
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            if (alias.asname or alias.name) == head:
                origin = f"{_origin(module, node)}." if isinstance(node, ast.ImportFrom) else ""
                return find(".".join([origin + alias.name, *rest]))
    return None


def check_exists(target: str) -> None:
    """Refuse a dotted name of which source files show that it is not there.

    Raises:
        InputError: naming what is missing, and the nearest name.
    """
    parts = target.split(".")
    if not all(part.isidentifier() for part in parts) or len(parts) < 2:
        raise InputError(f"{target!r} is not of the form package.module.Name")
    known = next((n for n in range(len(parts), 0, -1) if _spec(".".join(parts[:n]))), 0)
    if known == 0:
        raise InputError(f"{target}: there is no module {parts[0]} on the Python path")
    module = ".".join(parts[:known])
    if known == len(parts):
        raise InputError(f"{target} is a module; expected a class or function in it")
    names = visible(module)
    if names is not None and parts[known] not in names:
        raise InputError(f"{target}: {module} has no {parts[known]}{nearest(parts[known], names)}")


def visible(module: str, depth: int = 0) -> set[str] | None:
    """Return the names that a module defines or imports, and its submodules; None where its source does not tell."""
    source = _source(module)
    if source is None or UNTOLD.search(source) or depth > MAX_DEPTH:
        return None
    names = {info.name for info in iter_modules(_folders(module))}
    for node in _flat(_parse(module, source).body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            inherited = visible(_origin(module, node), depth + 1)
            if inherited is None:
                return None
            names |= inherited
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        else:
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names


@lru_cache(maxsize=512)
def _spec(module: str) -> ModuleSpec | None:
    """Return where a module is, found segment by segment: `find_spec` alone imports the packages around it."""
    parent, _, name = module.rpartition(".")
    if not parent:
        try:
            return find_spec(name)
        except ValueError:  # `__main__`, and whatever else has no specification
            return None
    folders = _folders(parent)
    return PathFinder.find_spec(module, folders) if folders else None


def _folders(package: str) -> list[str]:
    spec = _spec(package)
    return list(spec.submodule_search_locations or []) if spec else []


@lru_cache(maxsize=128)
def _source(module: str) -> str | None:
    """Return the text of a module; None for one that is compiled."""
    spec = _spec(module)
    if not spec or not spec.origin or not spec.origin.endswith(".py"):
        return None
    return decode_source(Path(spec.origin).read_bytes())


@lru_cache(maxsize=128)
def _chunks(module: str) -> tuple[str, ...]:
    """Split a module's text where statements begin, or seem to: inside a string the pieces do not parse."""
    chunks: list[str] = []
    joined = False
    for piece in STATEMENT.split(_source(module) or ""):
        if chunks and (joined or CONTINUED.match(piece)):
            chunks[-1] += piece
        else:
            chunks.append(piece)
        joined = chunks[-1].startswith("@") and piece.startswith("@")
    return tuple(chunks)


@lru_cache(maxsize=512)
def _statements(module: str, name: str) -> tuple[ast.stmt, ...]:
    """Return the top-level statements of a module that may give `name` a meaning."""
    own = re.compile(rf"^(class|def) {name}\b", re.MULTILINE)
    mention = re.compile(rf"\b{name}\b|\bimport \*")
    wanted = [chunk for chunk in _chunks(module) if (own if chunk.startswith(BLOCKS) else mention).search(chunk)]
    try:
        body = [node for chunk in wanted for node in ast.parse(chunk).body]
    except SyntaxError:
        body = _parse(module, _source(module) or "").body
    return tuple(_flat(body))


def _parse(module: str, source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        spec = _spec(module)
        raise InputError(f"{spec.origin if spec else module}, line {error.lineno}: {error.msg}") from error


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, with those inside `if` and `try` in their place."""
    for node in body:
        if isinstance(node, ast.If):
            yield from _flat([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handled = [statement for handler in node.handlers for statement in handler.body]
            yield from _flat([*node.body, *handled, *node.orelse, *node.finalbody])
        else:
            yield node


def _origin(module: str, node: ast.ImportFrom) -> str:
    """Return the absolute name of the module that a statement imports from."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if _folders(module) else module.split(".")[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])
