"""A database that does not answer for a while: when it is asked again, and for how long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fiducial.sweeps.search.storage import AwayError

PATIENCE_SECONDS = 300.0  # until it counts as away for good
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until it is asked again


class Outage:
    """Since when a database has not answered, and when it is to be asked next.

    Attributes:
        error: that came of it last; None while it answers.
    """

    def __init__(self) -> None:
        self.error: AwayError | None = None
        self._since, self._next, self._pause = 0.0, 0.0, FIRST_PAUSE

    @property
    def is_due(self) -> bool:
        """Whether the database is to be asked: it answers, or a pause is over."""
        return self.error is None or time.monotonic() >= self._next

    @property
    def is_long(self) -> bool:
        """Whether it has not answered for longer than one waits for it."""
        return self.error is not None and time.monotonic() - self._since > PATIENCE_SECONDS

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Take note if the database does not answer what is asked inside; that is said once, and goes no further."""
        try:
            yield
        except AwayError as error:
            now = time.monotonic()
            if self.error is None:
                self._since, self._pause = now, FIRST_PAUSE
                print(f"{error}; runs go on, and it is asked again", file=sys.stderr)
            self.error, self._next = error, now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def end(self) -> None:
        """Take note that it answers."""
        if self.error is not None:
            print("the database of the search answers again", file=sys.stderr)
        self.error = None
