"""The life of a run: it exists from the first line to the last, and its status is true whatever happens."""

from __future__ import annotations

import logging
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from fiducial.errors import InputError
from fiducial.tracking.liveness import alive
from fiducial.tracking.run import Run
from fiducial.tracking.tracker import Tracker

logger = logging.getLogger(__name__)

EXIT_TERMINATED = 143


class Terminated(SystemExit):
    """The process was asked to end (SIGTERM); ends it with exit code 143 unless caught."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)


class EndedEarlyError(Exception):
    """A run was ended on purpose before its end: KILLED rather than FAILED, and no traceback is kept."""


@contextmanager
def track(
    out: Path, tracker: Tracker, *, name: str, experiment: str, resume: bool = False, parent: Path | None = None
) -> Iterator[Run]:
    """Track what happens inside as one run in folder `out`.

    The run ends FINISHED, FAILED with the traceback as the artifact `traceback.txt`, or KILLED after Ctrl-C
    (raises KeyboardInterrupt) and SIGTERM (raises Terminated). Starting takes milliseconds; a thread opens
    the store once `Run.start_delivery` is called, at the latest at the end. A second Ctrl-C or SIGTERM, while
    the end waits for the store, ends the waiting.

    Args:
        out: the run's folder; made if missing.
        tracker: where to.
        name: the run's name, as shown in MLflow.
        experiment: MLflow's experiment; made if missing.
        resume: continue the run in `out`.
        parent: folder of the run that this one belongs to, such as a sweep's.

    Raises:
        InputError: `out` holds a run though none is resumed, or the other way round, or is in use.
    """
    out = out.expanduser().resolve()
    with alive(out), _Signals() as signals:
        run = Run(out, tracker, name=name, experiment=experiment, resume=resume, parent=parent)
        try:
            signals.arm()
            yield run
        except BaseException as error:
            signals.settle(run.hurry)
            ending = _Ending.of(error, terminated=signals.terminated)
            _write_down(run, ending)
            run.end(ending.status)
            if ending.error is not error:
                raise ending.error from error
            raise
        else:
            signals.settle(run.hurry)
            run.end("FINISHED")


@dataclass(frozen=True)
class _Ending:
    """How a run ended: its status, the error that is passed on, and that error in one line."""

    status: str
    error: BaseException
    message: str

    @classmethod
    def of(cls, error: BaseException, *, terminated: bool) -> _Ending:
        """Tell apart being stopped and failing; Lightning hides a stop in a SystemExit of its own."""
        names = {kind.__name__ for kind in type(error).__mro__}
        if terminated or isinstance(error, Terminated) or "SIGTERMException" in names:
            stop = error if isinstance(error, Terminated) else Terminated()
            return cls("KILLED", stop, "ended by SIGTERM")
        if isinstance(error, KeyboardInterrupt):
            return cls("KILLED", error, "ended by Ctrl-C")
        if isinstance(error, SystemExit):
            if isinstance(error.__context__, KeyboardInterrupt):
                return cls("KILLED", KeyboardInterrupt(), "ended by Ctrl-C")
            if error.code in (None, 0):
                return cls("FINISHED", error, "")
        if isinstance(error, EndedEarlyError):
            return cls("KILLED", error, str(error))
        if isinstance(error, InputError):
            return cls("FAILED", error, str(error))
        return cls("FAILED", error, traceback.format_exception_only(error)[-1].strip())


def _write_down(run: Run, ending: _Ending) -> None:
    """Log why a run ended; a full disk, which may be the very reason, must not hide it."""
    try:
        if ending.message:
            run.set_tags({"fiducial.error": ending.message})
        if ending.status == "FAILED":
            run.log_text("".join(traceback.format_exception(ending.error)), "traceback.txt")
    except OSError as error:
        logger.error("why the run ended could not be written to %s: %s", run.out, error)


class _Signals:
    """What SIGTERM and Ctrl-C do while a run lives; only the main thread can set this.

    Attributes:
        terminated: SIGTERM has come.
    """

    def __init__(self) -> None:
        self.terminated = False
        self._armed = False
        self._pending: signal.Signals | None = None
        self._hurry: Callable[[], None] | None = None
        self._process = os.getpid()
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> _Signals:
        self._install(signal.SIGTERM)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._install(signal.SIGINT)
        return self

    def arm(self) -> None:
        """From here on a signal ends the run; one that came while it was being made ends it now."""
        self._armed = True
        if signal.SIGINT in self._before:
            signal.signal(signal.SIGINT, self._before[signal.SIGINT])  # type: ignore[arg-type]
        if self._pending is not None:
            self._handle(self._pending, None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def settle(self, hurry: Callable[[], None]) -> None:
        """From now on the run is ending: a signal does not interrupt that, it shortens the wait."""
        self._hurry = hurry
        self._install(signal.SIGINT)
        self._install(signal.SIGTERM)

    def _install(self, number: signal.Signals) -> None:
        if threading.current_thread() is threading.main_thread():
            handler = signal.signal(number, self._handle)
            self._before.setdefault(number, handler if handler is not None else signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked worker, to which a signal is what it always was
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self._hurry is not None:
            self._hurry()
        elif not self._armed:
            self._pending = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            self.terminated = True
            raise Terminated
