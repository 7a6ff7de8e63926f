"""A comparison in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiducial.reports.comparison.content import (
    Comparison,
    PairedTest,
    direction,
    gap,
    in_all,
    more_cases,
    number,
    probability,
    spread,
    summary,
    tests_made,
)
from fiducial.wording import heading

COLOURS = {"better": "green", "worse": "red", "cannot tell": "yellow"}
MOST_ROWS, WIDEST_LABEL = 30, 20
WIDEST_CELL = 26  # "cannot tell, p < 0.001" and the space beside it


def show(comparison: Comparison, console: Console | None = None) -> None:
    """Print the settings with their scores, then the tests against the reference.

    Args:
        comparison: what to print; of many settings, those with the best validation objective.
        console: where to; standard output if None.
    """
    console = console or Console(highlight=False)
    for line in summary(comparison):
        console.print(escape(line), soft_wrap=True)
    groups = _fitting(comparison.metrics, console.width)
    for metrics in groups:
        console.print(_scores(comparison, metrics))
    for metrics in groups:
        console.print(_tests(comparison, metrics))
    hidden = len(comparison.others) - MOST_ROWS
    if hidden > 0:
        which = f"worse by {comparison.objective} or without it"
        console.print(f"{hidden:,} more settings, {which}: --html or --csv FILE has them all")
    console.print(escape(explanation(comparison)), style="dim", soft_wrap=True)


def _fitting(metrics: Sequence[str], width: int) -> list[Sequence[str]]:
    """Return the metrics in groups of as many as fit beside each other."""
    room = max(1, (width - WIDEST_LABEL - 2) // WIDEST_CELL)
    return [metrics[start : start + room] for start in range(0, len(metrics), room)]


def explanation(comparison: Comparison) -> str:
    """Return how to read the tests."""
    tests = {metric: [entry.tests[metric] for entry in comparison.others] for metric in comparison.metrics}
    every = [test for row in tests.values() for test in row]
    parts = [f"{metric}: {tests_made(comparison.others[:MOST_ROWS], metric)}" for metric in comparison.metrics]
    parts.append("differences are setting minus reference with 95 % intervals; p is two-sided, by Holm")
    if any(more_cases(test) for test in every):
        parts.append(
            "more cases: beyond those tested, for 80 % power to see a difference of this size at the level to which "
            "Holm held the test; more runs, not cases: the choice of seeds alone hides one of this size"
        )
    if meant := in_all(every):
        parts.append(meant)
    if any(test.second for test in every):
        parts.append("Wilcoxon: a second opinion, p as it is; it decides nothing")
    return "\n".join(parts)


def _scores(comparison: Comparison, metrics: Sequence[str]) -> Table:
    table = _table(comparison, "Scores", ["runs", comparison.objective, *_heads(comparison, metrics)])
    for entry in comparison.entries[: MOST_ROWS + 1]:
        objective = "–" if entry.objective is None else number(entry.objective)
        scores = [escape(spread(entry.scores[metric], "\n")) for metric in metrics]
        mark = "\n(reference)" if entry is comparison.reference else ""
        table.add_row(escape(entry.label) + mark, str(len(entry.runs)), objective, *scores)
    return table


def _tests(comparison: Comparison, metrics: Sequence[str]) -> Table:
    table = _table(comparison, "Against the reference", _heads(comparison, metrics))
    for entry in comparison.others[:MOST_ROWS]:
        table.add_row(escape(entry.label), *(_test(entry.tests[metric]) for metric in metrics))
    return table


def _table(comparison: Comparison, title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("setting", overflow="fold")
    for name in headings:
        table.add_column(heading(name), no_wrap=True)
    longest = max(len(entry.label) for entry in comparison.entries)
    table.columns[0].min_width = min(longest, WIDEST_LABEL)
    return table


def _heads(comparison: Comparison, metrics: Sequence[str]) -> list[str]:
    return [f"{metric} {direction(comparison, metric)}" for metric in metrics]


def _test(test: PairedTest) -> str:
    """Return the lines of a cell: the difference, the verdict with p, what it would take, a second opinion."""
    lines = [
        escape(gap(test, "\n")),
        f"[{COLOURS[test.verdict]}]{test.verdict}[/], p {probability(test.adjusted)}",
    ]
    lines += wrap(more_cases(test), WIDEST_CELL - 2)
    if test.second:
        lines.append(f"{test.second[0]}: p {probability(test.second[1])}")
    return "\n".join(lines)
