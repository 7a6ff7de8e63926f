"""Which overrides of a run still hold where other options are named, as `fiducial evaluate RUN data=…` does.

`data.source.path=a.csv` holds if the option that is named now has an object of the same class at `data.source`, and is
left out otherwise. Overrides that say which cases are in which split are left out with any other option of data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fiducial.config.location import Groups
from fiducial.config.schema import GROUPS, PRESETS, SWEEP_GROUPS

OF_CASES = tuple(f"data.{name}" for name in ("splits", "leave_out", "fold", "num_folds", "test_folds", "allow"))


def carried_over(
    own: Sequence[str], changes: Sequence[str], cfg: Mapping[str, Any], choices: Mapping[str, str], groups: Groups
) -> tuple[list[str], list[str]]:
    """Return the overrides of a changed run, and those of its own, or of its preset, that no longer hold.

    The options that the run had stay, though other data would pick others.

    Args:
        own: what the run's command line gave.
        changes: what is given now.
        cfg: the run's configuration, as plain containers.
        choices: its option of each group.
        groups: the options that there are.
    """
    given = {_key(line): line.partition("=")[2] for line in changes}
    anew = {group: given[group] for group in GROUPS if group in given and given[group] != choices.get(group)}
    anew = {group: option for group, option in anew.items() if option in groups.options(group)}
    content = {group: groups.content(group, option) for group, option in anew.items() if group not in PRESETS}
    dropped = [line for line in own if _is_over(line, cfg, content)]
    kept = [line for line in own if line not in dropped]
    if set(PRESETS).intersection(given):  # another preset picks options of its own
        return [*kept, *changes], dropped
    over = (*PRESETS, *SWEEP_GROUPS, *given)
    stay = [f"{group}={option}" for group, option in choices.items() if group not in over]
    lines, left_out = _without_presets(cfg, choices, groups, content, given)
    return [*stay, *kept, *lines, *changes], [*dropped, *left_out]


def _without_presets(
    cfg: Mapping[str, Any],
    choices: Mapping[str, str],
    groups: Groups,
    content: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, str],
) -> tuple[list[str], list[str]]:
    """Return overrides that undo what presets set of the old options, and what is thereby left out."""
    lines, left_out = [], []
    for group in PRESETS:
        known = choices.get(group) in groups.options(group)  # a preset of the user's own may not be there any more
        for key in _keys(groups.content(group, choices[group])) if known else ():
            if key not in given and _is_over(key, cfg, content):
                lines.append(_undone(key, content))
                left_out.append(f"{key} (of {group}={choices[group]})")
    return lines, left_out


def _undone(key: str, content: Mapping[str, Any]) -> str:
    """Return the override that gives a key the value of the option named anew, or takes it away."""
    value: Any = content
    for part in key.split("."):
        value = _part(value, part)
    return f"~{key}" if value is None else f"{key}={json.dumps(value, ensure_ascii=False)}"


def _keys(content: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the dotted keys of all values."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def _is_over(line: str, cfg: Mapping[str, Any], content: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether an override was for an option that is no longer there."""
    group, *inside = _key(line).split(".")
    if group not in content or not inside:
        return False
    if line.startswith("~") or _key(line) in OF_CASES:
        return True
    before, after = cfg.get(group), content.get(group)
    for part in inside:
        if _target(before) != _target(after):
            return True
        before, after = _part(before, part), _part(after, part)
    return False


def _key(line: str) -> str:
    return line.lstrip("+~").partition("=")[0]


def _target(node: Any) -> Any:
    return _part(node, "_target_")


def _part(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, Mapping) else None
