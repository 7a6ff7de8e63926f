"""What can stand next on a command line: verbs, flags, groups, options, keys, values and runs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from fiducial.cli.command import VERBS
from fiducial.config.location import Groups
from fiducial.config.schema import FILLED, GROUPS, PRESETS, TRAINER, RunConfig
from fiducial.errors import InputError

VALUES = {"select": ("best", "last"), "resume": ("auto",)}


def candidates(line: str) -> list[str]:
    """Return the words that the last, unfinished word of a command line may become.

    A word that is complete ends in a space; after the others (`model=`, `optimizer.`) more follows.
    """
    words = [*line.split(), *[""] * line.endswith(" ")]
    start = next((n for n, word in enumerate(words) if Path(word).name == "fiducial"), len(words) - 1)
    verb, *given = words[start + 1 :] or [""]
    if not given:
        found = [f"{name} " for name in (*VERBS, "--help", "--version")]
    else:
        try:
            found = list(_arguments(verb, given[:-1], given[-1])) if verb in VERBS else []
        except (InputError, OSError):  # said when the command runs
            found = []
    return [word for word in found if word.startswith(words[-1])]


def _arguments(verb: str, given: Sequence[str], word: str) -> Iterator[str]:
    flags = _flags(verb)
    before = flags.get(given[-1]) if given else None
    if before and before.nargs != 0:  # the value of a flag; where there are no choices, a file
        yield from (f"{choice} " for choice in before.choices or ())
    elif word.startswith("-"):
        yield from (f"{flag} " for flag in flags)
    elif verb == "compare" or (verb in ("evaluate", "predict") and not _positional(given, flags)):
        yield from _runs(Path(_value_of("--outputs", given) or "outputs"))
    elif verb in ("train", "evaluate", "inspect"):
        groups = Groups.find(_value_of("--config-dir", given))
        yield from _values(word, given, groups) if "=" in word else _keys(word, given, groups)
    elif verb == "completion":
        yield from ("bash ", "zsh ", "fish ")
    elif verb == "options":
        named = _positional(given, flags)
        known = Groups.find(_value_of("--config-dir", given)).options(named[0]) if named else GROUPS
        yield from (f"{name} " for name in known if len(named) < 2)


def _flags(verb: str) -> dict[str, argparse.Action]:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--help", action="store_true")
    parser.add_argument("--trace", action="store_true")
    import_module(f"fiducial.cli.{verb.replace('-', '_')}").add_arguments(parser)
    return {flag: action for action in parser._actions for flag in action.option_strings if not _hidden(action)}


def _hidden(action: argparse.Action) -> bool:
    return action.help == argparse.SUPPRESS


def _positional(given: Sequence[str], flags: Mapping[str, argparse.Action]) -> list[str]:
    valued = {flag for flag, action in flags.items() if action.nargs != 0}
    follows = [False, *(word in valued for word in given)]
    return [word for word, value in zip(given, follows, strict=False) if not value and not word.startswith("-")]


def _value_of(flag: str, given: Sequence[str]) -> str | None:
    return next((given[n + 1] for n, word in enumerate(given[:-1]) if word == flag), None)


def _runs(outputs: Path) -> Iterator[str]:
    yield from (f"{file.parent.name} " for file in sorted(outputs.glob("runs/*/*/run.json"), reverse=True))


def _keys(word: str, given: Sequence[str], groups: Groups) -> Iterator[str]:
    """Yield groups and keys; inside a component, the arguments that its class takes."""
    sign = word[: len(word) - len(word.lstrip("+~"))]
    path, dot, _ = word.removeprefix(sign).rpartition(".")
    if dot:
        yield from (f"{sign}{path}.{name}" for name in _inside(path, given, groups))
        return
    if path in GROUPS:
        yield f"{sign}{path}."
    yield from (f"{sign}{name}=" for name in (*GROUPS, *(n for n in RunConfig.__dataclass_fields__ if n not in GROUPS)))
    if word.removeprefix(sign) in (*GROUPS, "trainer"):
        yield f"{word}."


def _inside(path: str, given: Sequence[str], groups: Groups) -> Iterator[str]:
    from fiducial.config.signature import signature

    node = _node(path, given, groups)
    accepted = signature(node["_target_"]) if "_target_" in node else None
    for name in dict.fromkeys([*(accepted.names if accepted else ()), *node]):
        if name.startswith("_") or name == "contract" or name in FILLED.get(path, ()):
            continue
        yield f"{name}." if isinstance(node.get(name), dict) else f"{name}="


def _values(word: str, given: Sequence[str], groups: Groups) -> Iterator[str]:
    """Yield options of a group, or the values that an argument's annotation names."""
    key, _, value = word.partition("=")
    start = f"{key}=" + (value.rpartition(",")[0] + "," if "," in value else "")
    name = key.lstrip("+~")
    for choice in groups.options(name) if name in GROUPS else _choices(name, given, groups):
        yield f"{start}{choice} "


def _choices(key: str, given: Sequence[str], groups: Groups) -> Iterable[str]:
    from fiducial.config.signature import signature

    path, dot, name = key.rpartition(".")
    if not dot:
        return VALUES.get(key, ())
    node = _node(path, given, groups)
    accepted = signature(node["_target_"]) if "_target_" in node else None
    return accepted.arguments[name].choices if accepted and name in accepted.arguments else ()


def _node(path: str, given: Sequence[str], groups: Groups) -> dict[str, Any]:
    """Return the component at a path, as the file of the picked option describes it."""
    group, *parts = path.split(".")
    if group == "trainer":
        return {"_target_": TRAINER}
    option = _picked(group, given, groups) if group in GROUPS else None
    node = groups.content(group, option) if option in groups.options(group) else {}
    for part in parts:
        node = node.get(part) or {}
    return node if isinstance(node, dict) else {}


def _picked(group: str, given: Sequence[str], groups: Groups) -> str | None:
    """Return the option of a group: named on the command line, or picked by a preset or by default."""
    named = [word.partition("=")[2] for word in given if word.startswith(f"{group}=")]
    if named:
        return named[-1]
    for preset in () if group in PRESETS else PRESETS:
        option = _picked(preset, given, groups)
        if option in groups.options(preset) and group in (picks := groups.picks(preset, str(option))):
            return picks[group]
    return groups.default(group)
