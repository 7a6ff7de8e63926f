"""Whether a value from a configuration fits the annotation of an argument.

Only what a configuration can hold is judged: numbers, strings, truth values, lists of them, and names from a
`Literal`. Any other annotation, and one that cannot be read, fits everything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import NoneType
from typing import Any

from fiducial.config.definition import look_up_dotted

PLAIN: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "None": (NoneType,),
}
KNOWN = frozenset({*PLAIN, "Any", "Tensor", "Module", "Path"})  # what they are need not be looked up
LISTS = frozenset({"list", "List", "Sequence", "Iterable", "Collection"})
MAX_DEPTH = 8  # of names for annotations that are followed


class Annotation:
    """An annotation as it is written in a module.

    Args:
        module: in which it is written.
        node: the expression; None where an argument has no annotation.
    """

    def __init__(self, module: str, node: ast.expr | None) -> None:
        self.module = module
        self._node = node

    @property
    def written(self) -> bool:
        """Whether the argument has an annotation."""
        return self._node is not None

    def fits(self, value: Any) -> bool:
        """Tell whether a value may be given: False only if it is certain that it may not."""
        if self._node is None or (isinstance(value, dict) and "_target_" in value):  # which describes some other object
            return True
        if isinstance(value, dict):
            return any(self._takes_mapping(alternative) for alternative in self._alternatives())
        return any(self._matches(alternative, value) for alternative in self._alternatives())

    @property
    def choices(self) -> list[str]:
        """The values that can be given by name: those of a `Literal`, and true and false of a `bool`."""
        names = []
        for node in self._alternatives():
            if isinstance(node, ast.Constant) and node.value is not None:
                names.append(str(node.value))
            elif isinstance(node, ast.Name) and node.id == "bool":
                names += ["true", "false"]
            elif isinstance(node, ast.Subscript) and _last(node.value) in LISTS:
                names += Annotation(self.module, node.slice).choices
        return names

    def __str__(self) -> str:
        *names, last = dict.fromkeys(self._text(alternative) for alternative in self._alternatives())
        return f"{', '.join(names)} or {last}" if names else last

    def _alternatives(self) -> list[ast.expr]:
        """Return the members of the union that the annotation is, literals one by one."""
        assert self._node is not None
        members = list(_members(self._node, self.module, 0))
        numbers = {"int", "float"} & {member.id for member in members if isinstance(member, ast.Name)}
        # Beside a number, a tensor is the same number on a device, which no configuration can hold.
        return [member for member in members if not (numbers and ast.unparse(member).endswith("Tensor"))]

    def _matches(self, node: ast.expr, value: Any) -> bool:
        if isinstance(node, ast.Constant):
            return bool(node.value == value and type(node.value) is type(value))
        if isinstance(node, ast.Name) and node.id in PLAIN:
            return isinstance(value, PLAIN[node.id]) and (node.id == "bool" or not isinstance(value, bool))
        if isinstance(node, ast.Subscript) and _last(node.value) in (*LISTS, "tuple", "Tuple"):
            return isinstance(value, list) and self._items_match(node, value)
        return True

    def _takes_mapping(self, node: ast.expr) -> bool:
        """Tell whether a mapping that describes no object may be given, see `fits`."""
        if isinstance(node, ast.Constant):
            return False
        if isinstance(node, ast.Subscript):
            return _last(node.value) not in (*LISTS, "tuple", "Tuple")
        if _last(node) in KNOWN:
            return _last(node) == "Any"
        found = look_up_dotted(self.module, node) if isinstance(node, ast.Name | ast.Attribute) else None
        if found is None or not isinstance(found.node, ast.ClassDef):
            return True
        return any(_last(base).endswith(("Dict", "dict", "Mapping")) for base in found.node.bases)

    def _text(self, node: ast.expr) -> str:
        if isinstance(node, ast.Subscript) and _last(node.value) in LISTS:
            return f"a list of {Annotation(self.module, node.slice)}"
        return _text(node)

    def _items_match(self, node: ast.Subscript, values: list[Any]) -> bool:
        kinds = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if isinstance(kinds[-1], ast.Constant) and kinds[-1].value is Ellipsis:
            kinds = kinds[:-1]
        elif _last(node.value) in ("tuple", "Tuple"):
            pairs = zip(kinds, values, strict=False)
            return len(kinds) == len(values) and all(Annotation(self.module, k).fits(v) for k, v in pairs)
        return all(Annotation(self.module, kinds[0]).fits(value) for value in values)


def _members(node: ast.expr, module: str, depth: int) -> Iterator[ast.expr]:
    """Yield the members of a union; `None` as a name, each literal as a constant."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from _members(node.left, module, depth)
        yield from _members(node.right, module, depth)
    elif isinstance(node, ast.Constant) and node.value is None:
        yield ast.Name("None")
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _members(ast.parse(node.value, mode="eval").body, module, depth)
    elif isinstance(node, ast.Subscript) and _last(node.value) in ("Union", "Optional", "Literal", "Annotated"):
        yield from _special(node, module, depth)
    elif isinstance(node, ast.Name | ast.Attribute) and _last(node) not in KNOWN and depth < MAX_DEPTH:
        found = look_up_dotted(module, node)
        if found and isinstance(found.node, ast.expr):
            yield from _members(found.node, found.module, depth + 1)
        else:
            yield node
    else:
        yield node


def _special(node: ast.Subscript, module: str, depth: int) -> Iterator[ast.expr]:
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    kind = _last(node.value)
    if kind == "Literal":
        yield from items
        return
    for item in items[:1] if kind == "Annotated" else items:
        yield from _members(item, module, depth)
    if kind == "Optional":
        yield ast.Name("None")


def _last(node: ast.expr) -> str:
    """Return the last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "null" if _last(node) == "None" else ast.unparse(node)
