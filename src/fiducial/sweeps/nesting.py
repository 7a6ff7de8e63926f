"""Runs that a sweep takes over: the newest sweep that has a run shows it, named by what differs there."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from os.path import relpath
from pathlib import Path

from fiducial.tracking import Tracker
from fiducial.tracking.journal import History
from fiducial.tracking.liveness import FOLDER, LockHeldError, Marker, is_alive
from fiducial.tracking.nesting import nest
from fiducial.tracking.receipt import RECEIPT, Receipt

logger = logging.getLogger(__name__)


def take_done(runs: Iterable[tuple[str, str, Path]], sweep: Path, tracker: Tracker) -> None:
    """Have finished runs, given as title, setting and folder, belong to a sweep: those that its store has or is to get.

    See `take`. What was kept from the store (`tracking=none`) is not sent by this.
    """
    store, outputs = tracker.shown_uri, tracker.outputs
    if store is None:
        return
    waiting = {marker.folder(outputs) for marker in Marker.all_in(outputs) if marker.uri == store}
    for title, _, out in runs:
        if out.resolve() in waiting or Receipt.of(out / RECEIPT, store).run_id is not None:
            take(out, title, sweep, tracker)


def take(out: Path, title: str, sweep: Path, tracker: Tracker) -> None:
    """Have a run that has begun belong to a sweep, under a title.

    It stays where it is if a process has it in its hands, if its own sweep is still going on, and if it is in another
    experiment: MLflow shows no run below one of another experiment.
    """
    out, sweep = out.resolve(), sweep.resolve()
    if tracker.uri is None:
        return
    own, parent = (History.of(place / FOLDER / "journal.jsonl") for place in (out, sweep))
    if own.run is None or parent.run is None or own.run["experiment"] != parent.run["experiment"]:
        return
    if (own.name, own.parent) == (title, relpath(sweep, out)):
        return
    try:
        if own.parent in ("", relpath(sweep, out)) or not is_alive(out / own.parent):
            nest(out, tracker, name=title, parent=sweep)
    except LockHeldError:
        return
    except OSError as error:  # a folder that is somebody else's, a full disk: no reason not to run the others
        logger.warning("%s is not shown below %s: %s", out, sweep.name, error)
