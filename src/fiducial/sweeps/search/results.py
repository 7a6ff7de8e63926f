"""What a run tells a search: the values of its objectives, read from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fiducial.errors import InputError, nearest
from fiducial.objective import lower_is_better
from fiducial.runs import folder
from fiducial.tracking.journal import read
from fiducial.tracking.liveness import FOLDER

COSTS = ("parameters",)  # what a run has beside its scores; less of it is better


def check_objectives(names: Sequence[str]) -> None:
    """Refuse objectives that no run has, or that must not guide a search.

    Raises:
        InputError: naming the first such objective.
    """
    for name in names:
        if name.startswith("test/"):
            raise InputError(
                f"search.objectives: {name} is a test score; a search that sees the test split has none left to "
                f"be tested on. Give val/{name.removeprefix('test/')}"
            )
        if not name.startswith("val/") and name not in COSTS:
            raise InputError(
                f"search.objectives: expected validation metrics (val/loss, val/auroc, …) or {', '.join(COSTS)}; "
                f"got {name}{nearest(name, (*COSTS, 'val/loss', 'val/auroc', f'val/{name}'))}"
            )
    if len(set(names)) < len(names):
        raise InputError(f"search.objectives: expected different ones, got {', '.join(names)}")


def direction(name: str) -> Literal["minimize", "maximize"]:
    """Return whether an objective is to be "minimize"d or "maximize"d."""
    return "minimize" if name in COSTS or lower_is_better(name) else "maximize"


def values_of(out: Path, names: Sequence[str]) -> list[float]:
    """Return the objectives of a finished run, those of validation at the checkpoint that it selected.

    Raises:
        InputError: it has not all of them.
    """
    scores = folder.scores(out)
    objective = scores.get("objective") or {}
    known: dict[str, float] = {}
    if objective.get("value") is not None:
        known[objective["name"]] = float(objective["value"])
    if any(name not in known for name in names):
        known = {**_journalled(out, int(scores["epoch"])), **known}
    for name in names:
        if name not in known:
            raise InputError(
                f"objective {name}: the run in {out} has none{nearest(name, known)} "
                f"(it has: {', '.join(sorted(known)) or 'nothing: they are read from its tracking/journal.jsonl'})"
            )
    return [known[name] for name in names]


def _journalled(out: Path, epoch: int) -> dict[str, float]:
    """Return the validation metrics of an epoch, and what a run costs."""
    path = out / FOLDER / "journal.jsonl"
    found: dict[str, float] = {}
    if not path.exists():
        return found
    for event, _ in read(path):
        if event["event"] == "metrics":
            points: list[list[Any]] = event["points"]
            found |= {key: float(value) for key, value, _, step in points if step == epoch and key.startswith("val/")}
        elif event["event"] == "params":
            found |= {key: float(event["values"][key]) for key in COSTS if key in event["values"]}
    return found
