"""What a run's end looks like in a terminal: scores with intervals, facts, where to look next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiducial.statistics import FEW_SUBJECTS
from fiducial.wording import counted

LEADING = ("dice", "cpm", "map", "auroc", "accuracy", "balanced_accuracy", "f1", "recall", "specificity", "precision")


def show_summary(
    facts: Mapping[str, str], scores: Mapping[str, Any], commands: Mapping[str, str], console: Console | None = None
) -> None:
    """Print a run's test scores with their intervals, facts about it, and commands that lead on.

    Args:
        facts: by name: data, model, selected epoch, ….
        scores: the content of `scores.json`.
        commands: what a command shows, and the command.
        console: where to; standard output if None.
    """
    console = console or Console(highlight=False)
    cases, subjects = scores["cases"], scores["subjects"]
    of_what = f"{counted(cases, 'case')} of {counted(subjects, 'subject')}"
    console.print(f"[bold]Scores[/bold] on the {scores['split']} split: {of_what}")
    console.print(score_table(scores))
    if subjects < FEW_SUBJECTS:
        console.print(caution(subjects), style="yellow", soft_wrap=True)
    console.print(_pairs(facts, "bold"), soft_wrap=True)
    console.print()
    console.print(_pairs(commands, ""), soft_wrap=True)


def score_table(scores: Mapping[str, Any]) -> Table:
    """Return test scores as a table, the usual ones first."""
    table = Table()
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    order = sorted(scores["scores"], key=lambda name: LEADING.index(name) if name in LEADING else len(LEADING))
    for name in order:
        value = scores["scores"][name]
        table.add_row(escape(name.replace("_", " ")), _number(value["value"]), _interval(value["low"], value["high"]))
    table.add_row("loss", _number(scores["loss"]), "")
    return table


def caution(subjects: int) -> str:
    """Return what to think of intervals over few subjects."""
    if subjects < 2:
        return "one subject has no interval: how much others differ from it is unknown"
    return f"{subjects} subjects: bootstrap intervals of fewer than {FEW_SUBJECTS} are too narrow (docs/guide.md)"


def _pairs(values: Mapping[str, str], style: str) -> str:
    """Return a line a pair, values below each other; a long path stays in one piece, to be copied."""
    width = max(len(name) for name in values) + 2
    opening, closing = (f"[{style}]", f"[/{style}]") if style else ("", "")
    return "\n".join(f"{opening}{name:<{width}}{closing}{escape(value)}" for name, value in values.items())


def where_next(out: Path, *, predicts: bool = True, tracked: bool = True) -> dict[str, str]:
    """Return commands that lead on from folder `out` of a run, or of an evaluation of one.

    Args:
        out: the folder.
        predicts: whether the run's network can be applied to image files alone.
        tracked: whether the run is in the tracking UI.
    """
    run = out.parents[1] if out.parent.name == "evaluations" else out
    outputs = next((parent.parent for parent in out.parents if parent.name == "runs"), Path("outputs"))
    elsewhere = "" if outputs == Path("outputs").resolve() else f" --outputs {quote(str(outputs))}"
    apply = {"apply it to images": f"fiducial predict {run.name} IMAGES{elsewhere}"}
    if not predicts:
        apply = {"score it on other cases": f"fiducial evaluate {run.name} data=…{elsewhere}"}
    browse = {"all runs, in a browser": f"fiducial ui{elsewhere}"} if tracked else {}
    return {**browse, "pictures": f"ls {quote(f'{out}/figures')}", **apply}


def _number(value: float) -> str:
    return "undefined" if value != value else f"{value:.3f}"


def _interval(low: float, high: float) -> str:
    return "–" if low != low else f"{low:.3f} – {high:.3f}"
