"""A comparison as a forest plot."""

from __future__ import annotations

from matplotlib.figure import Figure

from fiducial.reports.comparison.content import Comparison
from fiducial.reports.figures import ForestRow, forest


def draw(comparison: Comparison) -> Figure:
    """Return the differences from the reference, a panel a metric."""
    rows = {
        metric: [
            ForestRow(entry.label, test.difference, test.low, test.high, test.verdict)
            for entry in comparison.others
            for test in [entry.tests[metric]]
        ]
        for metric in comparison.metrics
    }
    return forest(rows, comparison.reference.label, comparison.falling)
