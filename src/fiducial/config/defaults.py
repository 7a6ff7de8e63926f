"""What a class does anyway: a value that says the same as the default of its argument makes no other run.

Defaults are read from source files. One that is not written out as a plain value (a constant of its module, say)
is not known.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from fiducial.config.signature import signature
from fiducial.errors import InputError


@lru_cache(maxsize=512)
def defaults(target: str) -> Mapping[str, Any]:
    """Return the known defaults of the arguments of `package.module.Name`, tuples as lists.

    >>> defaults("difflib.Differ")
    {'linejunk': None, 'charjunk': None}
    """
    try:
        accepted = signature(target)
    except InputError:  # a file that cannot be read by now, of a run that could
        return {}
    if accepted is None:
        return {}
    written = {name: text for name, text in accepted.defaults.items() if name in accepted.arguments}
    evaluated = {name: _evaluated(text) for name, text in written.items() if name not in accepted.required}
    return {name: value for name, value in evaluated.items() if value is not ...}


def implied(cfg: Mapping[str, Any], keys: Iterable[str], content: Mapping[str, Any]) -> list[str]:
    """Return the keys whose value is what their class takes anyway, and that would be empty if they were not given.

    Args:
        cfg: a configuration, as plain containers.
        keys: that were given on the command line.
        content: what the options that are picked say by themselves.
    """
    return [key for key in dict.fromkeys(keys) if _is_default(cfg, key) and _at(content, key) is ...]


def without(cfg: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return a configuration, as plain containers, without some dotted keys."""
    left = dict(cfg)
    for key in keys:
        head, _, rest = key.partition(".")
        if not rest:
            left.pop(head, None)
        elif isinstance(left.get(head), dict):
            left[head] = without(left[head], [rest])
    return left


def known_default(settings: Mapping[str, str], key: str) -> str | None:
    """Return what a setting is by default, as text, of a flat table of settings; None if it is not known.

    >>> known_default({"model._target_": "difflib.SequenceMatcher"}, "model.autojunk")
    'True'
    """
    path, _, name = key.rpartition(".")
    value = defaults(settings.get(f"{path}._target_", "")).get(name)
    return None if value is None else str(value)


def is_default(settings: Mapping[str, str], key: str) -> bool:
    """Tell whether a setting of a flat table says, in whatever way, what its class takes anyway.

    >>> is_default({"model._target_": "difflib.SequenceMatcher", "model.autojunk": "True"}, "model.autojunk")
    True
    """
    path, _, name = key.rpartition(".")
    known = defaults(settings.get(f"{path}._target_", ""))
    if name not in known:
        return False
    value = _evaluated(settings[key])
    return str(known[name]) == settings[key] or (value is not ... and _same(known[name], value))


def _is_default(cfg: Mapping[str, Any], key: str) -> bool:
    path, _, name = key.rpartition(".")
    target, value = _at(cfg, f"{path}._target_"), _at(cfg, key)
    known = defaults(target) if isinstance(target, str) else {}
    return value is not ... and name in known and _same(known[name], value)


def _at(content: Any, key: str) -> Any:
    """Return what is at a dotted key, or `...` where there is nothing."""
    for part in key.split("."):
        if not isinstance(content, Mapping) or part not in content:
            return ...
        content = content[part]
    return content


def _same(default: Any, value: Any) -> bool:
    """Tell whether two values are equal, and both truth values or neither: 1 is 1.0, and not True."""
    if isinstance(default, list) and isinstance(value, list):
        return len(default) == len(value) and all(map(_same, default, value))
    return bool(default == value) and isinstance(default, bool) == isinstance(value, bool)


def _evaluated(text: str) -> Any:
    """Return the value of an expression, or `...` where it is more than a plain one."""
    try:
        return _as_list(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return ...


def _as_list(value: Any) -> Any:
    return [_as_list(item) for item in value] if isinstance(value, list | tuple) else value
