"""Runs that ended without a word, and runs whose journal has not fully arrived: both are put right."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fiducial.redaction import redact_text
from fiducial.tracking import store
from fiducial.tracking.delivery import Delivery, RunDeletedError
from fiducial.tracking.journal import History, Journal
from fiducial.tracking.liveness import FOLDER, LockHeldError, Marker, locked
from fiducial.tracking.tracker import DATABASE, Tracker, is_embedded

DIED = "process died without a word (SIGKILL, out of memory or power loss)"


@dataclass(frozen=True)
class Reconciled:
    """What was done about one run.

    Attributes:
        id: the run's id.
        out: its folder.
        died: its process was gone while it was still called running; it is FAILED now.
        delivered: everything in its journal has arrived, or needs not.
        reason: why not, if not.
    """

    id: str
    out: Path
    died: bool
    delivered: bool
    reason: str = ""


def reconcile(
    outputs: Path,
    tracker: Tracker | None = None,
    stop: Callable[[], bool] = lambda: False,
    *,
    elsewhere: bool = False,
) -> list[Reconciled]:
    """Put right each run of this machine that is not settled; return those that were looked after.

    Runs that are alive, and runs of other machines, are left alone. A store that is down is not waited for.

    Args:
        outputs: the folder of all runs.
        tracker: knows the credentials of a server, if the runs are on the same one.
        stop: asked between two runs and between two requests; True ends it early.
        elsewhere: deliver also what runs of other machines have left. Whether they are alive is known there only: one
            that is called running is not touched.
    """
    outputs = outputs.expanduser().resolve()
    done: list[Reconciled] = []
    silent: dict[str | None, str] = {}  # stores that did not answer, and how: none is waited for twice
    for marker in Marker.all_in(outputs):
        if stop():
            break
        if not marker.is_here and not elsewhere:
            continue
        try:
            reconciled = settle(marker, outputs, tracker, stop, silent)
        except OSError as error:  # a folder that is somebody else's, a full disk: no reason to leave the others
            reason, out = store.reason(error), marker.folder(outputs)
            reconciled = Reconciled(marker.id, out, died=False, delivered=False, reason=reason)
        if reconciled is not None:
            done.append(reconciled)
    return done


def settle(
    marker: Marker,
    outputs: Path,
    tracker: Tracker | None,
    stop: Callable[[], bool],
    silent: dict[str | None, str] | None = None,
) -> Reconciled | None:
    """Put one run right and forget it, unless it is alive or not all of it has arrived; None if nothing was done.

    Args:
        marker: of the run.
        outputs: the folder of all runs.
        tracker: see `reconcile`.
        stop: see `reconcile`.
        silent: stores that are not asked, and why; one that does not answer is added.
    """
    silent = {} if silent is None else silent
    out = marker.folder(outputs)
    journal = out / FOLDER / "journal.jsonl"
    if not journal.exists():  # deleted by hand, or killed in its first millisecond
        _forget(marker, outputs)
        return None
    try:
        with locked(out / FOLDER / "lock"):
            died = marker.is_here and _conclude(out)
            size = journal.stat().st_size
    except LockHeldError:
        return None
    if History.of(journal).status == "RUNNING":
        reason = f"it is RUNNING on {marker.host}, or died there; `fiducial doctor` on that machine knows"
        return Reconciled(marker.id, out, died=False, delivered=False, reason=reason)
    reason = silent.get(marker.uri) or _deliver(marker, _uri(marker, outputs, tracker), out, stop, silent)
    try:
        with locked(out / FOLDER / "lock"):  # somebody may have resumed it meanwhile, or taken it over
            if not reason and journal.stat().st_size == size:
                marker.remove(outputs)
    except LockHeldError:
        return None
    return Reconciled(marker.id, out, died=died, delivered=not reason, reason=reason)


def _forget(marker: Marker, outputs: Path) -> None:
    """Remove the marker of a run that left no journal, unless it is about to write one."""
    folder = marker.folder(outputs) / FOLDER
    if not folder.exists():
        marker.remove(outputs)
        return
    with contextlib.suppress(LockHeldError), locked(folder / "lock"):
        marker.remove(outputs)


def _conclude(out: Path) -> bool:
    """Give a run that is still called running its true status; return whether it was needed."""
    path = out / FOLDER / "journal.jsonl"
    if History.of(path).status != "RUNNING":
        return False
    last_sign = path.stat().st_mtime
    journal = Journal(path)
    journal.append(
        {"event": "tags", "values": {"fiducial.error": DIED, "fiducial.interrupted": "true"}},
        {"event": "status", "status": "FAILED", "time": int(min(last_sign, time.time()) * 1000)},
    )
    journal.close()
    return True


def _deliver(
    marker: Marker, uri: str | None, out: Path, stop: Callable[[], bool], silent: dict[str | None, str]
) -> str:
    """Deliver what is left; return why it did not work, or an empty text."""
    if uri is None:
        return ""
    delivery = Delivery(out, uri)
    if delivery.is_complete:
        return ""
    try:
        delivery.advance(stop)
    except LockHeldError:
        return "being delivered by another process"
    except RunDeletedError:
        return ""
    except Exception as error:  # whatever a store that is down or broken raises
        silent[marker.uri] = store.reason(error)
        return silent[marker.uri]
    return "" if delivery.is_complete else delivery.left or "interrupted"


def _uri(marker: Marker, outputs: Path, tracker: Tracker | None) -> str | None:
    """Return the URI to connect to: markers are written without credentials, and before a folder was moved."""
    shown, here = marker.uri, outputs.resolve() / DATABASE
    if shown is None:
        return None
    if is_embedded(shown):
        before = Path(shown.removeprefix("sqlite:///"))
        if not before.exists() and (here.is_file() or not before.parent.exists()):
            return f"sqlite:///{here}"
    known = [tracker.uri if tracker else None, os.environ.get("MLFLOW_TRACKING_URI")]
    return next((uri for uri in known if uri and redact_text(uri) == shown), shown)
