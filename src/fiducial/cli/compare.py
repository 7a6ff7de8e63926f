"""Compare runs on the same cases: scores with intervals, paired tests, and a verdict for each.

Runs that differ in their seed or fold only are repetitions of one setting. Every setting is tested against a
reference, by default the one with the best objective on the validation split.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.reports.comparison.content import Comparison

EXAMPLES = """examples:
  fiducial compare 20260101-120000-abc123 20260101-130000-def456
  fiducial compare --sweep breastmnist-cbf73543 --html comparison.html
  fiducial compare --experiment medmnist_resnet18 --filter "params.data = 'breastmnist'" --metric auroc,f1
  fiducial compare --sweep breastmnist-cbf73543 --against 20260101-120000-abc123 --latex table.tex --forest forest.pdf
"""
PICTURES = (".png", ".pdf", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("runs", nargs="*", help="folders, last parts of folders, or ids of runs")
    parser.add_argument("--sweep", metavar="NAME", help="name or folder of a sweep")
    parser.add_argument("--experiment", metavar="NAME", help="experiment in the tracking UI (a run's `study`)")
    parser.add_argument("--filter", metavar="TEXT", help="filter of runs, in MLflow's language")
    parser.add_argument("--against", metavar="RUN", help="a run of the reference (default: best by validation)")
    parser.add_argument(
        "--metric", metavar="A,B", help="metrics to compare (default: auroc,accuracy, or the objective)"
    )
    parser.add_argument("--shared-cases", action="store_true", help="where cases differ, use those that all runs have")
    parser.add_argument("--each-run", action="store_true", help="compare run by run, without grouping seeds and folds")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write one page with everything")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write a row a setting and metric")
    parser.add_argument("--latex", metavar="FILE", type=Path, help="write the table of a paper")
    parser.add_argument("--forest", metavar="FILE", type=Path, help="draw the differences (.png, .pdf or .svg)")
    parser.add_argument("--outputs", default="outputs", metavar="DIR", help="folder of runs (default: outputs)")


def run(args: argparse.Namespace) -> int:
    """Compare and print; write what is asked for."""
    _check(args)
    from fiducial.reports.comparison.terminal import show
    from fiducial.runs.compare import Question, compare
    from fiducial.runs.comparison.selection import Selection

    selection = Selection(Path(args.outputs), args.runs, args.sweep, args.experiment, args.filter)
    metrics = [name.strip() for name in (args.metric or "").split(",") if name.strip()]
    comparison = compare(Question(selection, args.against, metrics, args.shared_cases, args.each_run))
    show(comparison)
    _write(comparison, args)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse, before anything is read, what would fail at the end."""
    if not (args.runs or args.sweep or args.experiment or args.filter):
        raise InputError("expected runs to compare: name them, or --sweep NAME, --experiment NAME, --filter TEXT")
    for path in (args.html, args.csv, args.latex, args.forest):
        if path is not None and not path.expanduser().parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent}")
    if args.forest is not None and args.forest.suffix not in PICTURES:
        raise InputError(f"--forest: expected a file ending in {', '.join(PICTURES)}, got {args.forest}")


def _write(comparison: Comparison, args: argparse.Namespace) -> None:
    from fiducial.reports.comparison.files import csv_table, latex_table
    from fiducial.reports.comparison.page import page

    for path, text in ((args.html, page), (args.csv, csv_table), (args.latex, latex_table)):
        if path is not None:
            path.expanduser().write_text(text(comparison), encoding="utf-8")
            print(f"wrote {path}")
    if args.forest is not None:
        from fiducial.reports.comparison.picture import draw
        from fiducial.reports.figures import save

        save(draw(comparison), args.forest.expanduser())
        print(f"wrote {args.forest}")
