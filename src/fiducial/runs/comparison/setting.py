"""Settings: runs that differ in nothing but their seed or fold are repetitions of one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fiducial.config import GROUPS
from fiducial.config.defaults import is_default, known_default
from fiducial.errors import InputError
from fiducial.runs.comparison.member import Member
from fiducial.wording import brief, counted

SEED, FOLD, TABLES = "seed", "data.fold", "data.tables"
WITHOUT_EFFECT = ("launcher", "search", "tracking")
# Of the hardware, what changes the arithmetic; which device it is and how many processes share the work does not.
ARITHMETIC = ("precision", "accumulate", "clip_norm", "sync_batchnorm")
LOCATIONS = ("folder", "cache")  # where files lie: the same data may lie elsewhere
PRESETS = ("experiment", "debug", "hardware", *WITHOUT_EFFECT)  # groups whose option says nothing beyond its keys


@dataclass(frozen=True)
class Setting:
    """Runs that are repetitions of one setting.

    Attributes:
        choices: option of each group.
        values: settings by dotted key, without those that say what their class does anyway.
        repetitions: runs that predict each case once together: the folds of one seed, or a single run.
    """

    choices: Mapping[str, str]
    values: Mapping[str, str]
    repetitions: tuple[tuple[Member, ...], ...]

    @property
    def members(self) -> list[Member]:
        """All runs."""
        return [member for repetition in self.repetitions for member in repetition]

    @property
    def objective(self) -> float | None:
        """The mean objective of the runs on the validation split; None if not all have one."""
        values = [member.value for member in self.members]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None


def settings_of(members: Sequence[Member], *, each_run: bool = False) -> tuple[list[Setting], list[str]]:
    """Group runs into settings; return notes on runs that were left out.

    Two runs of one setting with the same seed and fold are the same experiment twice: the later one counts.

    Args:
        members: the runs.
        each_run: take every run for a setting of its own; its seed and fold are then settings.
    """
    groups: dict[frozenset[tuple[str, str]], dict[tuple[str, str], Member]] = defaultdict(dict)
    for member in sorted(members, key=lambda member: member.time):
        key = set(_relevant(member).items())
        if each_run:
            key.add(("run", member.name))
        groups[frozenset(key)][_repetition(member)] = member
    left_out = len(members) - sum(len(group) for group in groups.values())
    notes = (
        [f"repeated with the same settings and seed: {counted(left_out, 'run')}; the later ones count"]
        if left_out
        else []
    )
    return [_setting(list(group.values()), each_run=each_run) for group in groups.values()], notes


def differing(settings: Sequence[Setting]) -> list[str]:
    """Return the keys that tell settings apart: options first, then values that do not follow from an option."""
    options = [
        group
        for group in GROUPS
        if group not in PRESETS and len({setting.choices.get(group) for setting in settings}) > 1
    ]
    keys = dict.fromkeys(key for setting in settings for key in setting.values)
    return [*options, *(key for key in keys if _differs(key, settings, options))]


def shown(setting: Setting, keys: Sequence[str]) -> dict[str, str]:
    """Return a setting's options and values by key, defaults included, without those that it does not have."""
    found = {key: setting.choices.get(key) or _value(setting, key) for key in keys}
    return {key: value for key, value in found.items() if value is not None}


def labels(settings: Sequence[Setting], keys: Sequence[str]) -> list[str]:
    """Return what tells each setting from the others: `model=resnet18 lr=0.001`; no two are alike."""
    values = [shown(setting, keys) for setting in settings]
    rounded = [{key: brief(value) for key, value in one.items()} for one in values]
    if len({tuple(one.items()) for one in rounded}) == len({tuple(one.items()) for one in values}):
        values = rounded  # three digits tell them apart
    short = _shortened(keys)
    found = [
        " ".join(f"{short[key]}={value}" for key, value in one.items()) or setting.members[0].name
        for one, setting in zip(values, settings, strict=True)
    ]
    counts = Counter(found)
    return [
        f"{name} ({setting.members[0].name})" if counts[name] > 1 else name
        for name, setting in zip(found, settings, strict=True)
    ]


def containing(settings: Sequence[Setting], member: Member) -> Setting:
    """Return the setting that a run belongs to, though a later repetition may stand in its place."""
    for setting in settings:
        if member in setting.members:
            return setting
    wanted = _relevant(member)
    return next(setting for setting in settings if _relevant(setting.members[0]) == wanted)


def check_objectives(settings: Sequence[Setting]) -> str:
    """Return the name of the validation metric that all have in common.

    Raises:
        InputError: they have several.
    """
    names = {member.objective for setting in settings for member in setting.members}
    if len(names) > 1:
        raise InputError(
            f"the runs have different objectives ({', '.join(sorted(names))}), so none is best by validation: name "
            "the reference by --against RUN"
        )
    return names.pop()


def _setting(members: Sequence[Member], *, each_run: bool) -> Setting:
    by_seed: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        by_seed[member.settings.get(SEED, "")].append(member)
    first = members[0]
    values = _relevant(first)
    if each_run:
        values |= {key: first.settings[key] for key in (SEED, FOLD) if key in first.settings}
    choices = {group: option for group, option in first.choices.items() if group not in PRESETS}
    return Setting(choices, values, tuple(tuple(by_seed[seed]) for seed in sorted(by_seed)))


def _repetition(member: Member) -> tuple[str, str]:
    return member.settings.get(SEED, ""), member.settings.get(FOLD, "")


def _relevant(member: Member) -> dict[str, str]:
    given = {key: value for key, value in member.settings.items() if _is_setting(key)}
    own = {key: value for key, value in given.items() if not is_default(member.settings, key)}
    return {**own, TABLES: " ".join(member.tables)} if member.tables else own


def _value(setting: Setting, key: str) -> str | None:
    return setting.values.get(key) or known_default(setting.values, key)


def _is_setting(key: str) -> bool:
    head, _, rest = key.partition(".")
    if key in (SEED, FOLD, "resume") or head in WITHOUT_EFFECT or key.rpartition(".")[2] in LOCATIONS:
        return False
    return head != "hardware" or rest in (*ARITHMETIC, "_target_")  # whose defaults are known by it


def _differs(key: str, settings: Sequence[Setting], options: Sequence[str]) -> bool:
    """Tell whether a value differs between settings that have the same option of the value's group."""
    group = key.partition(".")[0]
    seen: dict[str | None, set[str | None]] = defaultdict(set)
    for setting in settings:
        seen[setting.choices.get(group) if group in options else None].add(_value(setting, key))
    return any(len(values) > 1 for values in seen.values())


def _shortened(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each key, or as many of its last parts as tell it from the others."""
    short = {}
    for key in keys:
        parts = key.split(".")
        endings = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
        unique = (e for e in endings if sum(other == e or other.endswith(f".{e}") for other in keys) == 1)
        short[key] = next(unique, key)
    return short
