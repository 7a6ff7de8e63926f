"""The arguments that a class or function takes, read from its source without importing it.

A constructor's signature is the schema of a component.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from fiducial.config.annotation import Annotation
from fiducial.config.definition import MAX_DEPTH, Definition, find, look_up_dotted
from fiducial.config.docstring import meanings


@dataclass(frozen=True)
class Signature:
    """The arguments of a callable that can be given by name.

    Attributes:
        arguments: annotation of each, in order.
        required: those without a default.
        optional: those whose default is None, whatever the annotation says.
        defaults: what is taken where nothing is given, as it is written.
        meanings: what the docstrings say of each.
        open: whether any other name is accepted too (`**kwargs`).
    """

    arguments: Mapping[str, Annotation] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    defaults: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    open: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return tuple(self.arguments)


PLAIN_OBJECT = Signature()


@lru_cache(maxsize=512)
def signature(target: str) -> Signature | None:
    """Return the arguments of `package.module.Name`, or None where its source does not tell.

    >>> signature("difflib.Differ").names
    ('linejunk', 'charjunk')
    """
    found = find(target)
    return None if found is None else _signature(found, 0)


def _signature(definition: Definition, depth: int) -> Signature | None:
    module, node = definition.module, definition.node
    if isinstance(node, ast.FunctionDef):
        return replace(_arguments(module, node.args, skip=0), meanings=meanings(ast.get_docstring(node)))
    if not isinstance(node, ast.ClassDef) or depth > MAX_DEPTH:
        return None
    found = _of_class(module, node, depth)
    if found is None or found is PLAIN_OBJECT:
        return found
    return replace(found, meanings={**found.meanings, **meanings(ast.get_docstring(node))})


def _of_class(module: str, node: ast.ClassDef, depth: int) -> Signature | None:
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    if "__init__" in methods:
        own = _arguments(module, methods["__init__"].args, skip=1)
        own = replace(own, meanings=meanings(ast.get_docstring(methods["__init__"])))
        inherited = _inherited(module, node, depth) if own.open else None
        return _joined(own, inherited, methods["__init__"]) if inherited else own
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return _of_dataclass(module, node, depth)
    if node.decorator_list or node.keywords or "__new__" in methods:  # these may make another constructor
        return None if "__new__" in methods or _makes_constructor(node) else _inherited(module, node, depth)
    return _inherited(module, node, depth)


def _makes_constructor(node: ast.ClassDef) -> bool:
    return bool(node.decorator_list) or any(_text(keyword.value) != "ABCMeta" for keyword in node.keywords)


def _inherited(module: str, node: ast.ClassDef, depth: int) -> Signature | None:
    """Return the signature of the first base that has a constructor; None as soon as one cannot be read."""
    for base in node.bases:
        if _text(base).partition("[")[0] in ("object", "ABC", "Generic", "Protocol"):
            continue
        found = look_up_dotted(module, base)
        inherited = _signature(found, depth + 1) if found and isinstance(found.node, ast.ClassDef) else None
        if inherited is not PLAIN_OBJECT:
            return inherited
    return PLAIN_OBJECT


def _text(node: ast.expr) -> str:
    """Return an expression as it is written, without the module in front: `abc.ABC` is `ABC`."""
    name = node.attr if isinstance(node, ast.Attribute) else ""
    return name or ast.unparse(node).removeprefix("typing.")


def _joined(own: Signature, inherited: Signature, constructor: ast.FunctionDef) -> Signature:
    """Add the arguments of an inherited constructor that `**kwargs` may pass on to it.

    If `super().__init__(…, **kwargs)` is all that happens to them, no other name is accepted.
    """
    assert constructor.args.kwarg is not None
    name = constructor.args.kwarg.arg
    uses = [node for node in ast.walk(constructor) if isinstance(node, ast.Name) and node.id == name]
    calls = [node for node in ast.walk(constructor) if isinstance(node, ast.Call) and _passes_on(node, name)]
    given = set(own.arguments)
    if calls:
        given |= {keyword.arg for keyword in calls[0].keywords if keyword.arg}
        given |= set(inherited.names[: len(calls[0].args)])
    return Signature(
        {**own.arguments, **{name: inherited.arguments[name] for name in inherited.names if name not in given}},
        own.required | (inherited.required - given if calls else frozenset()),
        own.optional | (inherited.optional - given),
        {**inherited.defaults, **own.defaults},
        {**inherited.meanings, **own.meanings},
        open=inherited.open or not (len(calls) == len(uses) == 1),
    )


def _passes_on(call: ast.Call, name: str) -> bool:
    stars = [keyword.value for keyword in call.keywords if keyword.arg is None]
    return ast.unparse(call.func) == "super().__init__" and [ast.unparse(star) for star in stars] == [name]


def _arguments(module: str, args: ast.arguments, skip: int) -> Signature:
    positional = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults)) + [*args.defaults]
    pairs = list(zip(positional, defaults, strict=True))[max(skip, len(args.posonlyargs)) :]
    pairs += zip(args.kwonlyargs, args.kw_defaults, strict=True)
    return Signature(
        {arg.arg: Annotation(module, arg.annotation) for arg, _ in pairs},
        frozenset(arg.arg for arg, default in pairs if default is None),
        frozenset(arg.arg for arg, default in pairs if _is_none(default)),
        {arg.arg: ast.unparse(default) for arg, default in pairs if default is not None},
        open=args.kwarg is not None,
    )


def _of_dataclass(module: str, node: ast.ClassDef, depth: int) -> Signature | None:
    inherited = _inherited(module, node, depth)
    if inherited is None:
        return None
    fields = dict(_fields(node))
    return Signature(
        {**inherited.arguments, **{name: Annotation(module, annotation) for name, (annotation, _) in fields.items()}},
        inherited.required - set(fields) | {name for name, (_, default) in fields.items() if default is None},
        inherited.optional - set(fields) | {name for name, (_, default) in fields.items() if _is_none(default)},
        {**inherited.defaults, **{name: ast.unparse(default) for name, (_, default) in fields.items() if default}},
        inherited.meanings,
    )


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, tuple[ast.expr, ast.expr | None]]]:
    """Yield name, annotation and default of the fields that a data class takes in its constructor."""
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        if "ClassVar" in ast.unparse(item.annotation) or "KW_ONLY" in ast.unparse(item.annotation):
            continue
        default = item.value
        if isinstance(default, ast.Call) and _text(default.func) == "field":
            options = {keyword.arg: keyword.value for keyword in default.keywords}
            if "init" in options and ast.unparse(options["init"]) == "False":
                continue
            default = options.get("default", options.get("default_factory"))
        yield item.target.id, (item.annotation, default)


def _is_none(default: ast.expr | None) -> bool:
    return isinstance(default, ast.Constant) and default.value is None
