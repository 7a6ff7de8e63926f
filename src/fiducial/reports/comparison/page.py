"""A comparison as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from math import isfinite

from fiducial.reports.comparison.content import (
    Comparison,
    Entry,
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

WIDTH, HEIGHT, MARGIN = 240, 22, 8


def page(comparison: Comparison) -> str:
    """Return the page: facts, settings with scores, and for each metric the differences from the reference."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    body = [
        "<h1>Comparison</h1>",
        _list(summary(comparison)),
        "<h2>Settings</h2>",
        _settings(comparison),
        *(_metric(comparison, metric) for metric in comparison.metrics),
        "<h2>How to read this</h2>",
        _list(HOW_TO_READ),
        _runs(comparison),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Comparison with {escape(comparison.reference.label)}</title><style>{style}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body><main>{"".join(body)}</main></body></html>\n'


HOW_TO_READ = (
    "A score is the mean over a setting's runs; ± is the standard deviation between them; brackets hold the 95 % "
    "interval over subjects and, where there are several runs, over runs.",
    "A difference is setting minus reference on the same cases, its bar the 95 % interval. p is two-sided; the "
    "verdict follows from p by Holm, which takes all tests of this page together.",
    "More cases: beyond those tested, for 80 % power to see a difference of this size at the level to which Holm "
    "held the test. It takes the difference seen for the true one, and is no more certain than that. “More runs, not "
    "cases”: the choice of seeds alone hides a difference of this size, however many cases there are.",
    "“Cannot tell” is no proof of equality.",
)


def _settings(comparison: Comparison) -> str:
    heads = [*comparison.keys, "runs", comparison.objective]
    heads += [f"{metric.replace('_', ' ')} {direction(comparison, metric)}" for metric in comparison.metrics]
    rows = []
    for entry in comparison.entries:
        cells = [entry.settings.get(key, "–") for key in comparison.keys]
        cells += [str(len(entry.runs)), "–" if entry.objective is None else number(entry.objective)]
        cells += [spread(entry.scores[metric]) for metric in comparison.metrics]
        mark = ' class="reference"' if entry is comparison.reference else ""
        rows.append(f"<tr{mark}>{_cells(heads, map(escape, cells))}</tr>")
    return _table(heads, rows) + '<p class="hint">The first row is the reference.</p>'


def _metric(comparison: Comparison, metric: str) -> str:
    tests = [(entry, entry.tests[metric]) for entry in comparison.others]
    reached = [0.0, *(b for _, t in tests for b in (t.difference, t.low, t.high) if isfinite(b))]
    scale = min(reached), max(reached)
    second = any(test.second for _, test in tests)
    better = "lower" if metric in comparison.falling else "higher"
    heads = ["setting", "difference", "", "p", "p (Holm)", *(["second opinion"] if second else ())]
    heads += ["verdict", "it would take"]
    rows = [f"<tr>{_cells(heads, _test(entry, test, scale, second=second))}</tr>" for entry, test in tests]
    title = f"<h2>{escape(metric.replace('_', ' '))}</h2>"
    score = spread(comparison.reference.scores[metric])
    made = escape(tests_made(comparison.others, metric))
    hint = f"Reference {escape(comparison.reference.label)}: {escape(score)}; {better} is better. Test: {made}."
    if meant := in_all(test for _, test in tests):
        hint += f" {meant[0].upper()}{meant[1:]}."
    return f'{title}<p class="hint">{hint}</p>{_table(heads, rows)}'


def _test(entry: Entry, test: PairedTest, scale: tuple[float, float], *, second: bool) -> list[str]:
    opinion = f"{test.second[0]} {probability(test.second[1])}" if test.second else "–"
    verdict = f'<span class="verdict {_kind(test)}">{test.verdict}</span>'
    return [
        escape(entry.label),
        _whole(gap(test)),
        _bar(test, scale),
        _whole(probability(test.p)),
        _whole(probability(test.adjusted)),
        *([escape(opinion)] if second else ()),
        verdict,
        escape(more_cases(test)) or "–",
    ]


def _whole(text: str) -> str:
    """Return text that is not broken into lines."""
    return f'<span class="whole">{escape(text)}</span>'


def _bar(test: PairedTest, scale: tuple[float, float]) -> str:
    """Return the interval as a line about its value, on a scale that the rows of a metric share."""
    if not isfinite(test.difference):
        return ""
    low, high = (test.low, test.high) if isfinite(test.low) else (test.difference, test.difference)
    width = (scale[1] - scale[0]) or 1.0
    x0, x1, x, x2 = (
        MARGIN + (value - scale[0]) / width * (WIDTH - 2 * MARGIN) for value in (0, low, test.difference, high)
    )
    middle = HEIGHT / 2
    return (
        f'<svg class="{_kind(test)}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(gap(test))}">'
        f'<line class="zero" x1="{x0:.1f}" x2="{x0:.1f}" y1="0" y2="{HEIGHT}"/>'
        f'<line class="span" x1="{x1:.1f}" x2="{x2:.1f}" y1="{middle}" y2="{middle}"/>'
        f'<circle cx="{x:.1f}" cy="{middle}" r="5"/></svg>'
    )


def _kind(test: PairedTest) -> str:
    return test.verdict.replace(" ", "-")


def _runs(comparison: Comparison) -> str:
    items = [f"{entry.label}: {', '.join(entry.runs)}" for entry in comparison.entries]
    return f"<details><summary>Runs</summary>{_list(items)}</details>"


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cells(heads: Iterable[str], cells: Iterable[str]) -> str:
    """Return cells that carry their heading, for narrow screens, where there is no header row."""
    return "".join(f'<td data-head="{escape(head)}">{cell}</td>' for head, cell in zip(heads, cells, strict=True))


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
