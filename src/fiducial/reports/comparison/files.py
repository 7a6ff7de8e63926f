"""A comparison for other programs: CSV with everything, LaTeX for a paper."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from math import isfinite, isnan

from fiducial.reports.comparison.content import Comparison, Entry, Score, direction, number, of_what, together

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_"},
}
_OF_TEST = {  # columns, and where a test has them
    "difference": "difference",
    "difference_low": "low",
    "difference_high": "high",
    "p": "p",
    "p_holm": "adjusted",
    "verdict": "verdict",
    "cases": "cases",
    "cases_needed": "cases_needed",
    "cases_are": "kind",
    "all_cases": "every",
    "all_cases_needed": "every_needed",
}
_MARKS = {"better": "$^{+}$", "worse": "$^{-}$", "cannot tell": ""}


def csv_table(comparison: Comparison) -> str:
    """Return a row a setting and metric, in full precision; what is unknown is empty."""
    rows = [_row(comparison, entry, metric) for entry in comparison.entries for metric in comparison.metrics]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def latex_table(comparison: Comparison) -> str:
    """Return a table for the package `booktabs`, a row a setting, verdicts as superscripts."""
    heads = [f"{_escaped(metric.replace('_', ' '))} ${_arrow(comparison, metric)}$" for metric in comparison.metrics]
    lines = [
        *_comments(comparison),
        rf"\begin{{tabular}}{{l{'l' * len(heads)}}}",
        r"\toprule",
        " & ".join(["Setting", *heads]) + r" \\",
        r"\midrule",
        *(_line(entry, comparison) for entry in comparison.entries),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(comparison: Comparison, entry: Entry, metric: str) -> Mapping[str, str]:
    score, test = entry.scores[metric], entry.tests.get(metric)
    values: dict[str, object] = {
        "setting": entry.label,
        **{key: entry.settings.get(key, "") for key in comparison.keys},
        "runs": " ".join(entry.runs),
        "repetitions": entry.repetitions,
        "objective_value" if comparison.objective in comparison.keys else comparison.objective: entry.objective,
        "metric": metric,
        "better": "lower" if metric in comparison.falling else "higher",
        "score": score.value,
        "score_low": score.low,
        "score_high": score.high,
        "score_deviation": score.deviation,
        "reference": comparison.reference.label,
    }
    values |= {column: getattr(test, name, None) for column, name in _OF_TEST.items()}
    values["test"] = test.name if test else None
    values["second_test"], values["second_p"] = (test and test.second) or (None, None)
    return {column: _cell(value) for column, value in values.items()}


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.9g}" if isfinite(value) else "inf"
    return str(value)


def _comments(comparison: Comparison) -> Iterator[str]:
    yield "% needs \\usepackage{booktabs}"
    yield (
        f"% Mean over runs, its standard deviation between runs where there are several, and 95 % interval, on "
        f"{of_what(comparison)}."
    )
    reference = " ".join(comparison.reference.label.split())
    yield f"% + better, - worse than {reference}, 5 % for {together(comparison)} (Holm)"


def _line(entry: Entry, comparison: Comparison) -> str:
    cells = [_escaped(entry.label) + (" (reference)" if entry is comparison.reference else "")]
    for metric in comparison.metrics:
        mark = _MARKS[entry.tests[metric].verdict] if metric in entry.tests else ""
        cells.append(_score(entry.scores[metric]) + mark)
    return " & ".join(cells) + r" \\"


def _score(score: Score) -> str:
    deviation = "" if isnan(score.deviation) else rf" \pm {_number(score.deviation)}"
    interval = "" if isnan(score.low) else f" [{_number(score.low)}, {_number(score.high)}]"
    return "--" if isnan(score.value) else f"${_number(score.value)}{deviation}${interval and f' ${interval[1:]}$'}"


def _number(value: float) -> str:
    return number(value).replace("−", "-")


def _arrow(comparison: Comparison, metric: str) -> str:
    return r"\downarrow" if direction(comparison, metric) == "↓" else r"\uparrow"


def _escaped(text: str) -> str:
    """Return text as LaTeX shows it."""
    return re.sub(r"[\\{}~^&%$#_]", lambda match: _LATEX[match[0]], " ".join(text.split()))
