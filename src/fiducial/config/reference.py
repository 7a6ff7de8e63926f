"""What can be set of an option: every key, the kind of its value, what it is by default, what it means."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fiducial.config.component import SPECIAL
from fiducial.config.location import Groups
from fiducial.config.schema import FILLED, PRESETS
from fiducial.config.signature import Signature, signature

GIVEN = "from the data or the task"  # values that are interpolated


@dataclass(frozen=True)
class Setting:
    """A key that can be given on the command line.

    Attributes:
        key: as it is written there ("model.widths").
        kind: of the value.
        value: what it is if it is not given; empty if it must be.
        meaning: from the docstring of the class.
    """

    key: str
    kind: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Part:
    """An object that an option describes, and its settings."""

    path: str
    target: str
    settings: Sequence[Setting]


def parts(groups: Groups, group: str, option: str) -> Iterator[Part]:
    """Yield what an option describes, the outermost object first; nothing for presets, which set keys of others."""
    if group not in PRESETS:
        yield from _parts(group, groups.content(group, option), FILLED.get(group, ()))


def _parts(path: str, node: Mapping[str, Any], filled: Sequence[str] = ()) -> Iterator[Part]:
    target = str(node.get("_target_", ""))
    accepted = signature(target) if target else None
    if accepted is not None:
        names = [name for name in (*accepted.names, *node) if name not in (*filled, *SPECIAL, "contract")]
        settings = (_setting(path, name, node, accepted) for name in dict.fromkeys(names))
        yield Part(path, target, [setting for setting in settings if setting])
    for name, child in node.items():
        if isinstance(child, Mapping) and name != "contract":
            yield from _parts(f"{path}.{name}", child)


def _setting(path: str, name: str, node: Mapping[str, Any], accepted: Signature) -> Setting | None:
    given = node.get(name)
    if isinstance(given, Mapping) and "_target_" in given:  # a part of its own
        return None
    annotation = accepted.arguments.get(name)
    kind = str(annotation) if annotation is not None and annotation.written else ""
    value = _shown(given) if name in node else _evaluated(accepted.defaults.get(name, ""))
    return Setting(f"{path}.{name}", kind, value, accepted.meanings.get(name, ""))


def _evaluated(default: str) -> str:
    """Return a default of a signature as it would be written on the command line."""
    try:
        return _shown(ast.literal_eval(default))
    except (ValueError, SyntaxError):  # a constant of its module, or nothing at all
        return default


def _shown(value: Any) -> str:
    """Return a value of an option's file as it would be written on the command line."""
    match value:
        case None:
            return "null"
        case "":
            return "''"
        case bool():
            return str(value).lower()
        case str() if value.startswith("${"):
            return GIVEN if value.startswith(("${data.", "${task.", "${smallest:")) else value
        case list() | tuple():
            return f"[{', '.join(map(_shown, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{key}: {_shown(one)}' for key, one in value.items())}}}"
    return str(value)
