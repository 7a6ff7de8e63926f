"""What a comparison says, before it is a table, a page or a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Literal

from fiducial.wording import counted, listed

Verdict = Literal["better", "worse", "cannot tell"]
Kind = Literal["all", "positive", "negative", "scored"]  # of cases that a score is about


@dataclass(frozen=True)
class Score:
    """A setting's score: the mean over its runs.

    Attributes:
        value: the mean.
        low: lower bound of its 95 % interval, over subjects and, with several runs, over runs.
        high: upper bound.
        deviation: standard deviation between runs; NaN for one run.
    """

    value: float
    low: float
    high: float
    deviation: float


@dataclass(frozen=True)
class PairedTest:
    """A setting against the reference, by one metric.

    Attributes:
        name: of the test.
        difference: of the scores, setting minus reference.
        low: lower bound of its 95 % interval.
        high: upper bound.
        p: two-sided; NaN where nothing varies, or too few subjects.
        adjusted: p by Holm's method over the family.
        verdict: at 5 % for the whole family.
        cases: that the score is about, and that both have.
        cases_needed: of that kind, at which a difference of this size would be told, for "cannot tell"; infinite if no
            number would.
        second: name and p of a second opinion, which decides nothing.
        kind: what these cases are, if they are not all: "positive", "negative", or "scored", those with this score.
        every: all cases that are compared, of whatever kind.
    """

    name: str
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    verdict: Verdict
    cases: int
    cases_needed: float | None = None
    second: tuple[str, float] | None = None
    kind: Kind = "all"
    every: int = 0

    @property
    def every_needed(self) -> float | None:
        """How many cases of whatever kind have as many as are needed of the kind that counts, at the present share."""
        if self.cases_needed is None or self.kind == "all":
            return self.cases_needed
        return self.cases_needed * self.every / self.cases


@dataclass(frozen=True)
class Entry:
    """One setting.

    Attributes:
        label: what tells it from the others.
        settings: the values of the keys that differ between settings; those that a setting has not are missing.
        runs: names of its runs.
        repetitions: predictions of each case that its scores are means of: seeds, each with its folds together.
        objective: mean of its runs on the validation split; None if not all runs have it.
        scores: by metric.
        tests: by metric; none for the reference.
    """

    label: str
    settings: Mapping[str, str]
    runs: tuple[str, ...]
    repetitions: int
    objective: float | None
    scores: Mapping[str, Score]
    tests: Mapping[str, PairedTest] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Settings against a reference on the same cases.

    Attributes:
        reference: what the others are compared with.
        others: best objective first.
        keys: of the settings that differ, in a sensible order.
        metrics: compared, in the order asked for.
        falling: those of them that are better the lower.
        cases: that all have.
        subjects: they are of.
        split: they are from.
        objective: name of the validation metric.
        chosen: why the reference is the reference.
        family: number of tests that Holm's method took together.
        notes: what else a reader must know.
    """

    reference: Entry
    others: Sequence[Entry]
    keys: Sequence[str]
    metrics: Sequence[str]
    falling: frozenset[str]
    cases: int
    subjects: int
    split: str
    objective: str
    chosen: str
    family: int
    notes: Sequence[str] = ()

    @property
    def entries(self) -> list[Entry]:
        """The reference first, then the others."""
        return [self.reference, *self.others]


MOST_TIMES = 100  # beyond so many times the cases that were tested, a forecast is none
_KINDS = {
    "positive": ("positive case", "positive cases"),
    "negative": ("negative case", "negative cases"),
    "scored": ("case with this score", "cases with this score"),
}


def more_cases(test: PairedTest) -> str:
    """Return how many more cases a test would take, in two digits that such a forecast can bear.

    >>> more_cases(PairedTest("", 0.1, 0, 0, 0.1, 0.1, "cannot tell", cases=150, cases_needed=1384.2))
    'about 1,300 more cases'
    >>> more_cases(PairedTest("", 0.1, 0, 0, 0.1, 0.1, "cannot tell", 8, 12.7, kind="positive", every=200))
    'about 5 more positive cases, about 130 more in all'
    """
    if test.cases_needed is None:
        return ""
    if test.cases_needed == inf:
        return "more runs, not cases"
    if test.cases_needed > MOST_TIMES * test.cases:
        about, more, of_all = "over", (MOST_TIMES - 1) * test.cases, (MOST_TIMES - 1) * test.every
    else:
        about, more = "about", _two_digits(max(test.cases_needed - test.cases, 1.0))
        of_all = _two_digits(more * test.every / test.cases)
    if test.kind == "all":
        return f"{about} {counted(more, 'more case')}"
    of_kind = _KINDS[test.kind][more != 1]
    return f"{about} {more:,} more {of_kind}, {about} {of_all:,} more in all"


def _two_digits(number: float) -> int:
    """Return a number of cases, rounded up to two digits."""
    size = int(10 ** max(len(str(int(number))) - 2, 0))
    return -int(-number // size) * size


def in_all(tests: Iterable[PairedTest]) -> str:
    """Return what "more in all" means, with the numbers of cases that it follows from; empty where nobody says it."""
    shares = dict.fromkeys(
        f"{counted(test.cases, *_KINDS[test.kind])} among {test.every:,}"
        for test in tests
        if test.kind != "all" and test.cases_needed not in (None, inf)
    )
    if not shares:
        return ""
    return f"more in all: cases of every kind, if they have the same share of these: {listed(list(shares))}"


def summary(comparison: Comparison) -> list[str]:
    """Return the facts that every form of the comparison states: on what, against what, how it was decided."""
    return [
        f"{of_what(comparison)}, the same for all",
        f"reference: {comparison.reference.label}, {comparison.chosen}",
        f"verdicts hold at 5 % for {together(comparison)} (Holm)",
        *comparison.notes,
    ]


def of_what(comparison: Comparison) -> str:
    """Return how many cases and subjects are compared."""
    return f"{counted(comparison.cases, f'{comparison.split} case')} of {counted(comparison.subjects, 'subject')}"


def tests_made(entries: Sequence[Entry], metric: str) -> str:
    """Return the name of the test that was made; of several, each with the settings that it was made for."""
    settings: dict[str, list[str]] = {}
    for entry in entries:
        settings.setdefault(entry.tests[metric].name, []).append(entry.label)
    if len(settings) == 1:
        return next(iter(settings))
    return "; ".join(f"{name} for {listed(labels)}" for name, labels in settings.items())


def together(comparison: Comparison) -> str:
    """Return what a verdict's 5 % are shared by: `all 9 tests together`."""
    return "the one test" if comparison.family == 1 else f"all {comparison.family:,} tests together"


def number(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """Return a number of few digits: three after the point, or for larger values fewer: four digits in all.

    >>> number(0.91449), number(12.3456), number(-0.02, sign=True), number(float("nan"))
    ('0.914', '12.35', '−0.020', '–')
    """
    if isnan(value):
        return "–"
    shown = abs(value)
    digits = max(0, digits if shown < 10 else digits + 1 - len(str(int(shown))))
    text = f"{shown:.{digits}f}"
    negative = value < 0 and float(text) != 0
    return f"{'−' if negative else '+' if sign else ''}{text}"


def spread(score: Score, between: str = " ") -> str:
    """Return `0.914 ± 0.018 [0.845, 0.971]`, without what is unknown."""
    deviation = "" if isnan(score.deviation) else f" ± {number(score.deviation)}"
    return f"{number(score.value)}{deviation}{bounds(score.low, score.high, between)}"


def gap(test: PairedTest, between: str = " ") -> str:
    """Return `−0.132 [−0.218, −0.046]`, without what is unknown."""
    return f"{number(test.difference, sign=True)}{bounds(test.low, test.high, between, sign=True)}"


def bounds(low: float, high: float, between: str, *, sign: bool = False) -> str:
    """Return `[low, high]` after `between`, or nothing where they are unknown."""
    return "" if isnan(low) else f"{between}[{number(low, sign=sign)}, {number(high, sign=sign)}]"


def probability(p: float) -> str:
    """Return a p value.

    >>> probability(0.0312), probability(0.00001), probability(float("nan"))
    ('0.031', '< 0.001', '–')
    """
    if isnan(p):
        return "–"
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"


def direction(comparison: Comparison, metric: str) -> str:
    """Return an arrow: which way is better."""
    return "↓" if metric in comparison.falling else "↑"
