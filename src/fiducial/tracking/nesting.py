"""A run that is given another name and parent after it has begun."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from fiducial.errors import InputError
from fiducial.tracking.journal import History, Journal
from fiducial.tracking.liveness import FOLDER, Marker, locked
from fiducial.tracking.tracker import Tracker


def nest(out: Path, tracker: Tracker, *, name: str, parent: Path) -> None:
    """Give the run in a folder another name, and have it belong to another run; its journal says so from here on.

    Whoever looks after the runs of this machine next delivers that, as whatever else has not arrived.

    Args:
        out: the run's folder.
        tracker: where it is tracked.
        name: its new name.
        parent: folder of the run that it is to belong to.

    Raises:
        InputError: there is no run in the folder.
        LockHeldError: a process has the run in its hands.
    """
    out = out.resolve()
    path = out / FOLDER / "journal.jsonl"
    with locked(out / FOLDER / "lock"):
        if (opened := History.of(path).run) is None:
            raise InputError(f"expected a folder with a run, got {out}, which has none")
        Marker.here(opened["id"], out, tracker.outputs, tracker.shown_uri).write(tracker.outputs)
        with closing(Journal(path)) as journal:
            journal.append({"event": "nested", "name": name, "parent": os.path.relpath(parent, out)})
