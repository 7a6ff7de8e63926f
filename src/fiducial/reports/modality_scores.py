"""Test scores for every choice of modalities: a table in the terminal, and a CSV file.

subset, num_modalities, a column of 0 and 1 a modality, then of each score its value, its lower and its upper bound
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiducial.reports.summary import LEADING
from fiducial.statistics import Interval

SHOWN = 2  # scores in the terminal; the file has all


@dataclass(frozen=True)
class ModalityScores:
    """Scores of one network on the same cases, for several choices of modalities.

    Attributes:
        names: of the modalities.
        present: for each choice, which of them there are.
        intervals: for each choice, its scores.
    """

    names: tuple[str, ...]
    present: Sequence[tuple[bool, ...]]
    intervals: Sequence[Mapping[str, Interval]]

    @property
    def scores(self) -> list[str]:
        """Names of the scores, the usual ones first."""
        names = list(self.intervals[0])
        return sorted(names, key=lambda name: LEADING.index(name) if name in LEADING else len(LEADING))

    def label(self, row: int) -> str:
        """Return the names of the modalities of one choice."""
        return " + ".join(name for name, there in zip(self.names, self.present[row], strict=True) if there)


def write_modality_scores(path: Path, table: ModalityScores) -> None:
    """Write the table, whole or not at all; undefined scores are empty fields."""
    bounds = [f"{score}{part}" for score in table.scores for part in ("", "_low", "_high")]
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["subset", "num_modalities", *table.names, *bounds])
        for row, (present, found) in enumerate(zip(table.present, table.intervals, strict=True)):
            values = [value for score in table.scores for value in _bounds(found[score])]
            flags = [int(there) for there in present]
            writer.writerow([table.label(row), sum(flags), *flags, *("" if v != v else f"{v:.9g}" for v in values)])
    partial.replace(path)


def show_modality_scores(table: ModalityScores, console: Console | None = None) -> None:
    """Print a line a choice, with a mark for each modality that it has."""
    scores = table.scores[:SHOWN]
    view = Table()
    for name in table.names:
        view.add_column(escape(name), justify="center")
    for score in scores:
        view.add_column(escape(f"{score.replace('_', ' ')} (95 % interval)"), justify="right", no_wrap=True)
    for present, found in zip(table.present, table.intervals, strict=True):
        marks = ["●" if there else "·" for there in present]
        view.add_row(*marks, *(_text(found[score]) for score in scores))
    (console or Console(highlight=False)).print(view)


def _bounds(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _text(interval: Interval) -> str:
    if interval.value != interval.value:
        return "undefined"
    bounds = "" if interval.low != interval.low else f" ({interval.low:.3f} – {interval.high:.3f})"
    return f"{interval.value:.3f}{bounds}"
