"""The thread that delivers a run while it trains, and waits out a store that is down."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fiducial.redaction import redact_text
from fiducial.tracking.delivery import Delivery
from fiducial.tracking.liveness import LockHeldError
from fiducial.tracking.reconcile import reconcile
from fiducial.tracking.store import reason
from fiducial.tracking.tracker import Tracker

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 60.0
_CLOSING_PAUSE = 1.0


class Sender(threading.Thread):
    """Delivers a run's journal again and again until it is told to finish.

    After the first time it looks after other runs.

    Args:
        out: the run's folder.
        tracker: where it is delivered to, how often, and how patiently at the end.
    """

    def __init__(self, out: Path, tracker: Tracker) -> None:
        super().__init__(name="fiducial-sender", daemon=True)
        assert tracker.uri is not None, "a store"
        self.error: str | None = None
        self._tracker = tracker
        self._delivery = Delivery(out, tracker.uri, request_seconds=tracker.request_seconds, restore=True)
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._failures = 0

    def run(self) -> None:
        """Deliver until the run has ended and all has arrived, or there is no time left."""
        settled_others = False
        while not self._hurry.is_set():
            last_round = self._closing
            self._deliver()
            if self._failures == 0 and not settled_others:
                settled_others = True
                _settle_others(self._tracker, self._hurry.is_set)
            if last_round and self._failures == 0:
                return
            self._pause()

    def finish(self) -> bool:
        """Deliver the rest and end the thread; return whether everything has arrived.

        A store that does not answer is waited for as long as the tracker says; a local one that takes what it is given,
        longer.
        """
        patience, is_local = self._tracker.patience_seconds, self._tracker.is_local
        self._closing = True
        self._wake.set()
        deadline = time.monotonic() + patience
        while self.is_alive() and not self._hurry.is_set() and time.monotonic() < deadline:
            self.join(timeout=0.05)
            if is_local and self._failures == 0:
                deadline = time.monotonic() + patience
        self._hurry.set()
        self._wake.set()
        self.join(timeout=0.5)
        return self._delivery.is_complete

    def hurry(self) -> None:
        """Do not wait any longer: the user asks a second time."""
        self._hurry.set()

    def _deliver(self) -> None:
        try:
            self._delivery.advance(self._hurry.is_set)
        except LockHeldError:
            self._failures += 1
        except Exception as error:  # whatever it is, training goes on
            self._failures += 1
            self.error = reason(error)
            level = logging.WARNING if self._failures == 1 else logging.DEBUG
            logger.log(
                level,
                "tracking is kept in %s for now, the store does not take it: %s",
                self._delivery.out,
                self.error,
            )
        else:
            if self._failures > 0 and self.error:
                logger.warning("the tracking store takes what it is given again")
            self._failures, self.error = 0, None

    def _pause(self) -> None:
        pause = self._tracker.flush_seconds if self._failures == 0 else min(_LONGEST_PAUSE, 2.0 ** (self._failures - 1))
        if self._closing:
            self._hurry.wait(min(pause, _CLOSING_PAUSE) if self._failures else 0.0)
        else:
            self._wake.wait(pause)


def _settle_others(tracker: Tracker, stop: Callable[[], bool]) -> None:
    """Look after runs that died or were not fully delivered; whatever happens, this run goes on."""
    try:
        for other in reconcile(tracker.outputs, tracker, stop):
            if other.died:
                logger.warning(
                    "run %s had died without a word; it is FAILED now (resume it in %s)", other.id, other.out
                )
    except Exception as error:
        logger.warning("other runs could not be looked after: %s", redact_text(str(error)))
