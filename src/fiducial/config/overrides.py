"""What the command line may say: `group=option` and `key=value`, in Hydra's override grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, OverrideType
from hydra.errors import HydraException

from fiducial.config.location import Groups
from fiducial.config.schema import GROUPS, PRESETS, RunConfig
from fiducial.config.wrapped import WRAPPED, wraps
from fiducial.errors import InputError, nearest

SIMPLE = re.compile(r"[\w./:+-]*", re.ASCII)
SPECIAL = "()[]{}'\"$,="  # letters that mean something in Hydra's grammar
ROOTS = (*RunConfig.__dataclass_fields__, *PRESETS)


def prepare(lines: Sequence[str], groups: Groups) -> list[str]:
    """Check the overrides of one run, and let those inside a component set any argument of its class.

    Raises:
        InputError: naming the nearest group, option or key; or there are values for several runs.
    """
    return [_prepared(override, groups) for override in _parse(lines)]


def split(lines: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
    """Return the overrides that pick options, and, parsed, those that set values: Hydra applies them last."""
    parsed = OverridesParser.create().parse_overrides(list(lines))
    options = tuple(str(one.input_line) for one in parsed if one.key_or_group in GROUPS)
    return options, [one for one in parsed if one.key_or_group not in GROUPS]


def jobs(lines: Sequence[str], groups: Groups) -> list[list[str]]:
    """Return the overrides of each run of a sweep: every combination of the values given.

    Raises:
        InputError: naming the nearest group, option or key.
    """
    values: dict[str, list[str]] = {}
    for override in _parse(lines):
        _check(override, groups)
        key = override.get_key_element()
        values[key] = [f"{key}={value}" for value in _swept(override, groups)] or [str(override.input_line)]
    return [list(job) for job in product(*values.values())]


def quoted(line: str) -> str:
    """Return an override with its value in quotes, where Hydra's grammar could not take it as it stands.

    That is the name of a file or folder that exists, with commas, say; or a text without brackets and quotes, with
    letters that are not ASCII, say. Any other override is returned as it is.
    """
    key, equals, value = line.partition("=")
    if not equals or SIMPLE.fullmatch(value) or value[0] in "'\"" or _is_one_value(line):
        return line
    plain = not set(value) & set(SPECIAL)
    if not plain and not _exists(value):
        return line
    return assigned(key, value)


def assigned(key: str, text: str) -> str:
    """Return the override that gives a key a text, in quotes where Hydra's grammar would take it for something else."""
    if SIMPLE.fullmatch(text):
        return f"{key}={text}"
    inside = text.replace("'", "\\'")
    return f"{key}='{inside}'"


def _is_one_value(line: str) -> bool:
    try:
        return not OverridesParser.create().parse_override(line).is_sweep_override()
    except HydraException:
        return False


def _exists(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, ValueError):  # too long a name, say
        return False


def _parse(lines: Sequence[str]) -> Iterator[Override]:
    parser = OverridesParser.create()
    for line in map(quoted, lines):
        try:
            yield from parser.parse_overrides([line])
        except HydraException as error:
            raise InputError(f"expected group=option or key=value, got {line!r}{_reason(line)}") from error


def _reason(line: str) -> str:
    """Say what of an override Hydra's grammar does not take, and what would be taken."""
    key, equals, value = line.partition("=")
    if not equals:
        return ""
    if unpaired := _unpaired(value):
        return f": {unpaired}"
    odd = next((letter for letter in value if not letter.isascii() or letter in SPECIAL), "")
    found = f": {odd!r} is not taken as it stands" if odd else ""
    return f"{found}. A text with such letters, commas or brackets needs quotes inside quotes: \"{key}='…'\""


def _unpaired(value: str) -> str:
    """Name the first bracket or quote that lacks its other half, outside quotes."""
    pairs, waiting, quote = {")": "(", "]": "[", "}": "{"}, "", ""
    for letter in value:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in pairs.values():
            waiting += letter
        elif letter in pairs:
            if not waiting.endswith(pairs[letter]):
                return f"the bracket {letter} closes nothing"
            waiting = waiting[:-1]
    if quote:
        return f"the quote {quote} is not closed"
    return f"the bracket {waiting[-1]} is not closed" if waiting else ""


def _prepared(override: Override, groups: Groups) -> str:
    _check(override, groups)
    line, key = str(override.input_line), override.key_or_group
    if override.is_sweep_override():
        if isinstance(override.value(), IntervalSweep):
            raise InputError(f"{line} gives an interval: add -m and search=… to search it")
        or_list = "" if key in ("seed", "data.fold") else f", or write {key}=[…,…] for one list"
        raise InputError(f"{line} gives values for several runs: add -m to run them all{or_list}")
    head, dot, _ = key.partition(".")
    if key == WRAPPED and override.type is OverrideType.CHANGE:
        return _inner(override, groups)
    inside = dot and (head in GROUPS or head == "trainer")
    return f"++{line}" if inside and override.type is OverrideType.CHANGE else line


def _inner(override: Override, groups: Groups) -> str:
    """Return the override by which Hydra puts another network into the one that wraps it."""
    option = override.get_value_element_as_str()
    known = [name for name in groups.options("model") if not wraps(groups.content("model", name))]
    if option not in known:
        raise InputError(
            f"{WRAPPED}={option}: there is no such network to wrap{nearest(option, known)} (there are: "
            f"{', '.join(known)})"
        )
    return f"model@{WRAPPED}={option}"


def _check(override: Override, groups: Groups) -> None:
    line, key = str(override.input_line), override.key_or_group
    head, dot, _ = key.partition(".")
    if head == "hydra" or key.startswith("hydra/"):
        raise InputError(f"{line}: Hydra only composes here, its own settings have no effect; runs go to outputs=…")
    if head not in ROOTS:
        raise InputError(
            f"{line}: there is no group or key {head!r}{nearest(head, ROOTS)} (groups: {', '.join(GROUPS)}; "
            f"keys: {', '.join(name for name in ROOTS if name not in GROUPS)})"
        )
    if head in GROUPS and not dot:
        _check_options(override, groups)


def _check_options(override: Override, groups: Groups) -> None:
    group = override.key_or_group
    options = groups.options(group)
    listed = f"(options of {group}: {', '.join(options)})"
    if override.is_delete():
        if group not in PRESETS:
            raise InputError(f"{override.input_line}: a run needs an option of each group {listed}")
        return
    for option in _swept(override, groups) or [override.get_value_element_as_str()]:
        if option not in options and not (option == "null" and group in PRESETS):
            raise InputError(f"{group}={option}: there is no such option{nearest(option, options)} {listed}")


def _swept(override: Override, groups: Groups) -> list[str]:
    """Return the values that an override gives for several runs; none if it is for one run."""
    if not override.is_sweep_override():
        return []
    value: Any = override.value()
    if isinstance(value, Glob):
        return [str(option) for option in value.filter(groups.options(override.key_or_group))]
    if not override.is_discrete_sweep():
        raise InputError(f"{override.input_line}: expected values to try, such as a,b,c or range(1,4); got an interval")
    return list(override.sweep_string_iterator())
