"""A search space in Hydra's override grammar. No torch, no Optuna."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep, Sweep
from hydra.errors import HydraException

from fiducial.config import SWEEP_GROUPS, Groups
from fiducial.config.composition import PLACES, WITHOUT_EFFECT
from fiducial.config.overrides import prepare, quoted
from fiducial.errors import InputError, nearest
from fiducial.sweeps.axes import REPETITIONS
from fiducial.sweeps.search.space import Choice, Dimension, Interval, Space, rounded

LOG = "log"  # the only tag: `tag(log, interval(1e-5, 1e-1))`
EXAMPLES = "interval(0,0.5), tag(log, interval(1e-5,1e-1)), int(interval(16,64)), range(1,9,2), choice(a,b) or a,b,c"


def split(lines: Sequence[str], groups: Groups, kept: Mapping[str, Any] | None = None) -> tuple[list[str], Space]:
    """Return the overrides that all runs have in common, and what is searched.

    Args:
        lines: the command line; a setting that it fixes is not searched, a range that it gives is.
        groups: what can be picked.
        kept: what an option or an experiment says may be searched, by setting.

    Raises:
        InputError: a group, key or option is unknown, or a range makes no sense.
    """
    given = [_parsed(line, groups) for line in lines]
    fixed = [override for override in given if not override.is_sweep_override()]
    named = {override.key_or_group for override in given}
    remembered = [_kept(key, value, groups) for key, value in (kept or {}).items() if key not in named]
    swept = {one.key_or_group: one for one in chain(remembered, given) if one.is_sweep_override()}
    dimensions = [_dimension(override, groups) for override in swept.values()]
    constant = [f"{one.key}={one.ends[0]}" for one in dimensions if len(set(one.ends)) == 1]
    free = tuple(one for one in dimensions if len(set(one.ends)) > 1)
    return [*(str(override.input_line) for override in fixed), *constant], Space(free)


def first_values(lines: Sequence[str], groups: Groups) -> list[str]:
    """Return overrides for one run: each range is replaced by its first value."""
    return [_first(_parsed(line, groups), groups) for line in lines]


def _first(override: Override, groups: Groups) -> str:
    if not override.is_sweep_override():
        return str(override.input_line)
    key = override.get_key_element()
    value: Any = override.value()
    if isinstance(value, IntervalSweep):
        return f"{key}={value.start}"
    if isinstance(value, Glob):
        return f"{key}={next(iter(value.filter(groups.options(override.key_or_group))), None)}"
    return f"{key}={next(override.sweep_string_iterator(), None)}"


def _parsed(line: str, groups: Groups) -> Override:
    try:
        return OverridesParser.create().parse_override(quoted(line))
    except HydraException as error:
        prepare([line], groups)  # says what is wrong with a line that cannot be read
        raise InputError(f"{line}: {str(error).splitlines()[0]}") from error


def _kept(key: str, value: Any, groups: Groups) -> Override:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    override = _parsed(f"{key}={text}", groups)
    if not override.is_sweep_override():
        raise InputError(f"search.space: {key}: expected values to try, such as {EXAMPLES}; got {text}")
    return override


def _dimension(override: Override, groups: Groups) -> Dimension:
    key, line = override.key_or_group, str(override.input_line)
    value: Any = override.value()
    _check_key(key, line)
    if isinstance(value, Sweep):
        _check_tags(value, line)
    one: Dimension
    if isinstance(value, IntervalSweep):
        one = _interval(key, value, line)
    elif isinstance(value, RangeSweep):
        one = _range(key, value, line)
    elif isinstance(value, Glob):
        one = Choice(key, tuple(map(str, value.filter(groups.options(key)))))
    else:
        one = Choice(key, tuple(dict.fromkeys(override.sweep_string_iterator())))
    for text in one.ends:
        prepare([f"{key}={text}"], groups)
    return one


def _check_key(key: str, line: str) -> None:
    head = key.partition(".")[0]
    if key in REPETITIONS:
        raise InputError(
            f"{line}: {key} repeats a setting and is none itself, so it cannot be searched. Give one value; "
            f"when the search is over, repeat its best setting with fiducial train -m … {key}=0,1,2"
        )
    if head in (*WITHOUT_EFFECT, *PLACES, *SWEEP_GROUPS):
        raise InputError(f"{line}: {key} changes no result, so there is nothing to search; give one value")


def _check_tags(value: Sweep, line: str) -> None:
    for tag in sorted(value.tags - {LOG}):
        raise InputError(f"{line}: expected no tag, or the tag {LOG}; got {tag}{nearest(tag, [LOG])}")
    if LOG in value.tags and not isinstance(value, IntervalSweep | RangeSweep):
        raise InputError(f"{line}: the tag {LOG} needs an interval or a range; got values one by one")


def _interval(key: str, value: IntervalSweep, line: str) -> Interval:
    assert value.start is not None
    assert value.end is not None
    whole = isinstance(value.start, int)
    return _checked(Interval(key, value.start, value.end, LOG in value.tags, 1 if whole else None), line)


def _range(key: str, value: RangeSweep, line: str) -> Interval:
    """Return a range as numbers with steps; its end is not included, as in Python."""
    points = [point if isinstance(point, int) else rounded(point) for point in value.range()]
    if not points:
        raise InputError(f"{line}: expected range(first, end, step) with a value in it, got none")
    step = abs(value.step)
    if LOG in value.tags and not (step == 1 and isinstance(points[0], int)):
        raise InputError(f"{line}: with the tag {LOG} a range is of integers with steps of 1; got steps of {step:g}")
    if value.shuffle:
        raise InputError(f"{line}: shuffle has no effect in a search; give the range alone")
    return _checked(Interval(key, min(points), max(points), LOG in value.tags, step), line)


def _checked(one: Interval, line: str) -> Interval:
    if not (math.isfinite(one.low) and math.isfinite(one.high)):
        raise InputError(f"{line}: expected finite bounds, got {one.low} and {one.high}")
    if one.low > one.high:
        raise InputError(f"{line}: expected interval(low, high), got a low of {one.low:g} above a high of {one.high:g}")
    if one.log and one.low <= 0:
        raise InputError(f"{line}: with the tag {LOG} the low bound must be above 0; got {one.low:g}")
    return one
