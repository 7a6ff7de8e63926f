"""Code and data that runs came of: where they differ, a difference between settings may come of that instead."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from fiducial.runs.comparison.setting import TABLES, Setting
from fiducial.wording import counted, listed


def mixed(settings: Sequence[Setting]) -> Iterator[str]:
    """Yield a note where runs are of different code, and where the same data had another content.

    Settings that name other data, or read them otherwise, have other contents on purpose.
    """
    codes = Counter(member.code for setting in settings for member in setting.members if member.code)
    if len(codes) > 1:
        yield f"runs of different code: {_listed(codes)}{_within(settings)}; {OTHERWISE}"
    contents: defaultdict[object, Counter[str]] = defaultdict(Counter)
    for setting in settings:
        contents[_source(setting)].update(member.data for member in setting.members if member.data)
    for found in contents.values():
        if len(found) > 1:
            yield f"runs on different content of the same data, by its hash: {_listed(found)}; {OTHERWISE}"


OTHERWISE = "differences may come of that"


def _within(settings: Sequence[Setting]) -> str:
    mixing = sum(len({member.code for member in setting.members if member.code}) > 1 for setting in settings)
    return f", also among the repetitions of {counted(mixing, 'setting')}" if mixing else ""


def _listed(runs: Mapping[str, int]) -> str:
    return listed([f"{name} ({counted(number, 'run')})" for name, number in runs.items()], "; ")


def _source(setting: Setting) -> tuple[object, ...]:
    """Return what a setting says of where its cases come from."""
    own = {key: value for key, value in setting.values.items() if key == TABLES or key.startswith("data.source.")}
    return setting.choices.get("data"), frozenset(own.items())
