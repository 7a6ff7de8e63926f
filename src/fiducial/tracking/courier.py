"""One thread that delivers the journals of many runs, so that each of them need not connect to the store."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from fiducial.tracking.delivery import Delivery
from fiducial.tracking.liveness import LockHeldError, Marker
from fiducial.tracking.reconcile import reconcile, settle
from fiducial.tracking.store import reason
from fiducial.tracking.tracker import Tracker

logger = logging.getLogger(__name__)

DELIVERED = "FIDUCIAL_DELIVERED"  # set in processes whose journals another one delivers


class Courier(threading.Thread):
    """Delivers what the unsettled runs of this machine have logged, again and again until it is told to finish.

    A run that has ended is settled: its status is made true if it died, and it is not looked at again.

    Args:
        tracker: the store that the runs are tracked in, and how often.
        own: id of a run that delivers itself.
        restarted: a scheduler starts lost processes again: a run without one may have only been interrupted.
    """

    def __init__(self, tracker: Tracker, own: str, *, restarted: bool = False) -> None:
        super().__init__(name="fiducial-courier", daemon=True)
        self._tracker, self._own, self._restarted = tracker, own, restarted
        self._closing, self._hurry = threading.Event(), threading.Event()
        self._deliveries: dict[str, Delivery] = {}
        self._failed = ""

    def run(self) -> None:
        """Deliver until the end, and then once more."""
        while not self._closing.wait(self._tracker.flush_seconds):
            try:
                self._round()
            except OSError as error:  # a full disk, a folder that is gone: the next round finds out
                self._complain(error)
        reconcile(self._tracker.outputs, self._tracker, self._hurry.is_set)

    def finish(self, patience: float) -> None:
        """End the thread; what cannot be delivered within `patience` seconds is kept for the next run."""
        self._closing.set()
        self.join(patience)
        self._hurry.set()
        self.join(1)

    def _round(self) -> None:
        for marker in Marker.all_in(self._tracker.outputs):
            shared = marker.uri == self._tracker.shown_uri and marker.is_here
            if shared and marker.id != self._own and not self._closing.is_set():
                self._deliver(marker.id, marker.folder(self._tracker.outputs))
                if not self._failed and not self._restarted:
                    self._settle(marker)

    def _settle(self, marker: Marker) -> None:
        settled = settle(marker, self._tracker.outputs, self._tracker, self._hurry.is_set)
        if settled is not None and settled.delivered:
            self._deliveries.pop(marker.id)

    def _deliver(self, run: str, out: Path) -> None:
        assert self._tracker.uri is not None
        if run not in self._deliveries:
            seconds = self._tracker.request_seconds
            self._deliveries[run] = Delivery(out, self._tracker.uri, request_seconds=seconds, restore=True)
        try:
            self._deliveries[run].advance(self._hurry.is_set)
        except (LockHeldError, FileNotFoundError):  # not ours, or not there yet
            return
        except Exception as error:  # whatever it is, the runs go on
            self._complain(error)
        else:
            self._failed = ""

    def _complain(self, error: Exception) -> None:
        """Say once, and again only after it went well, why nothing is delivered."""
        if not self._failed:
            logger.warning("tracking is kept in the runs' folders for now: %s", reason(error))
        self._failed = reason(error)
