"""What came out of a sweep, setting by setting: mean, deviation and interval over its repetitions."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fiducial.objective import lower_is_better
from fiducial.reports.summary import LEADING, caution
from fiducial.runs import folder
from fiducial.statistics import FEW_SUBJECTS, Interval, mean_interval
from fiducial.sweeps.axes import REPETITIONS
from fiducial.sweeps.search.results import direction, values_of
from fiducial.wording import heading

WHOLE = 1000  # from here on (parameters) a number is shown without decimals
SEED, FOLD = REPETITIONS
NUM_SCORES = 2  # test scores that the table shows beside the objective; the CSV has all of them


@dataclass(frozen=True)
class Result:
    """What one finished run gave.

    Attributes:
        title: what tells it from the other runs.
        setting: what it has in common with its repetitions.
        out: its folder.
        objectives: name and value of what ranks it, scores of the validation split or what it costs: the first does.
        scores: of the test split, with their intervals over subjects.
        subjects: of whom there are cases in the test split.
        seed: as the run's record has it.
        fold: as the run's record has it.
    """

    title: str
    setting: str
    out: Path
    objectives: tuple[tuple[str, float], ...]
    scores: dict[str, Interval]
    subjects: int
    seed: str
    fold: str

    @classmethod
    def read(cls, title: str, setting: str, out: Path, objectives: Sequence[str] = ()) -> Result:
        """Read a finished run's scores; `objectives` rank it, by default what it selected its checkpoint by."""
        content = folder.scores(out)
        own = content.get("objective") or {}
        scores = {name: Interval(**fields) for name, fields in content["scores"].items()}
        values = [own.get("value", math.nan)]
        if objectives and tuple(objectives) != (own.get("name"),):
            values = values_of(out, objectives)
        named = tuple(zip(objectives or [own.get("name", "")], values, strict=True))
        given = folder.record(out).settings
        repetition = str(given.get(SEED)), str(given.get(FOLD))
        return cls(title, setting, out, named, scores, content["subjects"], *repetition)

    @property
    def objective(self) -> tuple[str, float]:
        """Name and value of what ranks it."""
        return self.objectives[0]


@dataclass(frozen=True)
class Summary:
    """The results of a sweep.

    Attributes:
        results: of the runs that are done.
    """

    results: tuple[Result, ...]

    @property
    def objectives(self) -> list[str]:
        """Names of what the settings are judged by; none where some are judged by other scores than others."""
        names = {tuple(name for name, _ in result.objectives) for result in self.results}
        return list(names.pop()) if len(names) == 1 else []

    @property
    def objective(self) -> str:
        """Name of what ranks the settings, the first of several."""
        return next(iter(self.objectives), "")

    @property
    def settings(self) -> dict[str, list[Result]]:
        """The results by setting, best mean objective first if they have one in common."""
        groups: dict[str, list[Result]] = {}
        for result in self.results:
            groups.setdefault(result.setting, []).append(result)
        if not self.objectives:
            return groups
        sign = 1 if direction(self.objective) == "minimize" else -1
        return dict(sorted(groups.items(), key=lambda item: _rank(sign * _mean(item[1]))))

    @property
    def over_folds(self) -> bool:
        """Whether there are intervals over folds of means over seeds."""
        return any(map(_is_crossed, self.settings.values()))

    @property
    def best(self) -> Result | None:
        """The best run by the objective; None where there is none, or no objective in common."""
        if not self.objectives:
            return None
        sign = 1 if direction(self.objective) == "minimize" else -1
        return min(self.results, key=lambda result: _rank(sign * result.objective[1]), default=None)

    @property
    def front(self) -> list[str]:
        """The settings that no other one beats in everything, by mean objectives; [] of a single objective."""
        if len(self.objectives) < 2:
            return []
        signs = [1 if direction(name) == "minimize" else -1 for name in self.objectives]
        means = {
            setting: tuple(_rank(sign * _mean(results, which)) for which, sign in enumerate(signs))
            for setting, results in self.settings.items()
        }
        return [setting for setting, own in means.items() if not any(_beats(other, own) for other in means.values())]

    def columns(self) -> list[str]:
        """Return the names of all test scores."""
        return list(dict.fromkeys(name for result in self.results for name in result.scores))

    def shown(self) -> list[str]:
        """Return the names of the test scores that the table shows: the objective's own first."""
        names = self.columns()
        own = self.objective.removeprefix("val/")
        order = [own, *LEADING, *names]
        return list(dict.fromkeys(name for name in order if name in names))[:NUM_SCORES]

    def of(self, results: Sequence[Result], score: str) -> Interval:
        """Return a score of a setting: over its repetitions, or a single run's own interval over subjects."""
        if len(results) == 1 and score in results[0].scores:
            return results[0].scores[score]
        values = [r.scores[score].value if score in r.scores else math.nan for r in results]
        return _interval(score, _independent(results, values))

    def deviation(self, results: Sequence[Result], score: str) -> float:
        """Return the standard deviation of a score over repetitions; NaN for a single run."""
        values = [result.scores[score].value for result in results if score in result.scores]
        return _deviation(values)

    def table(self) -> Table:
        """Return the summary for a terminal."""
        table = Table(box=SIMPLE_HEAD, caption=self.caption(), caption_justify="left")
        table.add_column("setting", overflow="fold")
        for name in ("runs", *(self.objectives or ["objective"]), *(f"test {name}" for name in self.shown())):
            table.add_column(heading(name), justify="right", no_wrap=True)
        front = self.front
        for setting, results in self.settings.items():
            objectives = [
                _with_deviation(_mean(results, which), _deviation(_values(results, which)))
                for which in range(max(1, len(self.objectives)))
            ]
            if not self.objectives:
                objectives = [f"{results[0].objective[0]} {objectives[0]}"]
            scores = (self._cell(results, name) for name in self.shown())
            table.add_row(f"{setting} *" if setting in front else setting, str(len(results)), *objectives, *scores)
        return table

    def caption(self) -> str:
        """Say what the intervals are of."""
        settings = list(self.settings.values())
        single = [results[0].subjects for results in settings if len(results) == 1]
        crossed = sum(map(_is_crossed, settings))
        parts = []
        if crossed:
            parts.append("± standard deviation over runs, [95 % interval over folds of the mean over seeds]")
        if len(single) + crossed < len(settings):
            parts.append("± standard deviation over repetitions, [95 % interval of their mean]")
        if single:
            parts.append("of a single run: [95 % interval over subjects]")
        order = f"best {self.objective} first" if self.objective else "no best one: the objectives are different"
        parts.append(f"{order}. `fiducial compare` tells whether a difference is real.")
        if self.front:
            parts.append("* no other setting beats it in all objectives")
        few = f"\n{caution(min(single))}" if single and min(single) < FEW_SUBJECTS else ""
        return "; ".join(parts) + few

    def csv(self) -> str:
        """Return a line a setting and score."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["setting", "runs", "score", "mean", "deviation", "low", "high"])
        for setting, results in self.settings.items():
            judged = [(name, _values(results, which)) for which, (name, _) in enumerate(results[0].objectives)]
            rows = [(n, _interval(n, _independent(results, values)), _deviation(values)) for n, values in judged]
            rows += [(f"test/{n}", self.of(results, n), self.deviation(results, n)) for n in self.columns()]
            for name, interval, deviation in rows:
                numbers = (interval.value, deviation, interval.low, interval.high)
                writer.writerow([setting, len(results), name, *("" if x != x else f"{x:.6g}" for x in numbers)])
        return text.getvalue()

    def _cell(self, results: Sequence[Result], score: str) -> str:
        interval = self.of(results, score)
        bounds = "" if interval.low != interval.low else f"\n[{interval.low:.3f}, {interval.high:.3f}]"
        return _with_deviation(interval.value, self.deviation(results, score)) + bounds


def summarise(runs: Iterable[tuple[str, str, Path]], objectives: Sequence[str] = ()) -> Summary:
    """Return the summary of finished runs, given as title, setting and folder.

    Args:
        runs: of the sweep.
        objectives: what judges them, of which the first ranks them; by default what each selected its checkpoint by.
    """
    return Summary(tuple(Result.read(*run, objectives) for run in runs if folder.is_finished(run[2])))


def points(summary: Summary, score: str) -> Mapping[str, tuple[list[float], Interval]]:
    """Return each setting's single values and its interval, of a test score or of an objective."""
    drawn = {}
    for setting, results in summary.settings.items():
        if score in summary.objectives:
            values = _values(results, summary.objectives.index(score))
            drawn[setting] = values, _interval(score, _independent(results, values))
        else:
            values = [result.scores[score].value for result in results if score in result.scores]
            drawn[setting] = values, summary.of(results, score)
    return drawn


def _interval(score: str, values: Sequence[float]) -> Interval:
    """Return the mean with its interval, which stays within 0 and 1 where all values do; losses have no end above."""
    low = 0.0 if all(value >= 0 for value in values) else -math.inf
    high = 1.0 if low == 0 and all(value <= 1 for value in values) and not lower_is_better(score) else math.inf
    return mean_interval(values, limits=(low, high))


def _is_crossed(results: Sequence[Result]) -> bool:
    """Tell whether runs of a setting have several seeds and several folds."""
    return min(len({result.seed for result in results}), len({result.fold for result in results})) > 1


def _independent(results: Sequence[Result], values: Sequence[float]) -> list[float]:
    """Return those of the runs' values that count as independent: where seeds and folds both vary, the folds' means.

    Runs of one fold have their cases in common, so that their number tells nothing more of other folds.
    """
    if not _is_crossed(results):
        return list(values)
    folds: dict[str, list[float]] = {}
    for result, value in zip(results, values, strict=True):
        folds.setdefault(result.fold, []).append(value)
    return [math.fsum(of_fold) / len(of_fold) for of_fold in folds.values()]


def _values(results: Sequence[Result], which: int = 0) -> list[float]:
    """Return the values of an objective, by default of the one that ranks."""
    return [result.objectives[which][1] for result in results]


def _mean(results: Sequence[Result], which: int = 0) -> float:
    values = _independent(results, _values(results, which))
    return math.fsum(values) / len(values)


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Tell whether values to be minimised are at no point worse, and at one better."""
    return one != other and all(mine <= its for mine, its in zip(one, other, strict=True))


def _deviation(values: Sequence[float]) -> float:
    if len(values) < 2:
        return math.nan
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _rank(value: float) -> float:
    return math.inf if value != value else value


def _with_deviation(value: float, deviation: float) -> str:
    shown = "undefined" if value != value else f"{value:.{0 if abs(value) >= WHOLE else 3}f}"
    return shown if deviation != deviation else f"{shown} ± {deviation:.3f}"
