"""Jobs that run on other machines, started by a scheduler: what they have in common, whichever it is.

The machines share the file system with the outputs folder. A job tells how it is by small files in a folder of the
sweep, and looks there whether it is to stop; so nothing has to be able to connect to it.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fiducial.errors import InputError
from fiducial.sweeps.job import Ending, Progress, Queue, Spec
from fiducial.sweeps.pool import Watch
from fiducial.tracking.courier import DELIVERED
from fiducial.tracking.lifetime import EXIT_TERMINATED, Terminated
from fiducial.tracking.liveness import write_whole

TICK_SECONDS = 0.5


@dataclass(frozen=True)
class Mail:
    """A folder in which one job and the sweep that started it leave word for each other. Can be pickled.

    Attributes:
        folder: of this start of the sweep; on a file system that all machines share.
        number: of the job in its sweep.
    """

    folder: Path
    number: int

    def tell(self, news: Progress | Ending) -> None:
        """Say how the job is."""
        kind = "ending" if isinstance(news, Ending) else "progress"
        write_whole(self.folder / f"{self.number}.{kind}.json", json.dumps(asdict(news)))

    def progress(self) -> Progress | None:
        """Return how far the job was when it last said so; None if it has not begun."""
        path = self.folder / f"{self.number}.progress.json"
        return Progress(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def ending(self) -> Ending | None:
        """Return how the job ended; None if it has not said so."""
        path = self.folder / f"{self.number}.ending.json"
        return Ending(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def ask_to_stop(self) -> None:
        """Ask all jobs of this start of the sweep to stop, also those that have not begun."""
        write_whole(self.folder / "stop", "")

    @property
    def is_to_stop(self) -> bool:
        """Whether the job has been asked to stop."""
        return (self.folder / "stop").exists()


def work(spec: Spec, mail: Mail, log: Path) -> Ending:
    """Be the process of a job: run it, tell how it is, and stop when asked.

    Args:
        spec: the job.
        mail: what connects it to its sweep.
        log: takes all that it prints, also when it is started again.

    Raises:
        SystemExit: the machine's scheduler ended it (SIGTERM) and may start it again; it has no ending yet.
    """
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.pop(DELIVERED, None)  # the process that delivers for all jobs is on another machine

    def report(progress: Progress) -> None:
        if mail.is_to_stop:
            raise Terminated
        mail.tell(progress)

    stopped = Ending(spec.number, "stopped", message="stopped")
    if mail.is_to_stop:
        mail.tell(stopped)
        return stopped
    mail.tell(Progress(spec.number))
    try:
        with terminated_by(signal.SIGTERM):
            from fiducial.sweeps.worker import execute  # brings torch

            ending = execute(spec, report)
    except Terminated:  # before the run began
        ending = stopped
    except Exception as error:  # the environment is at fault: what a run raises is in its ending
        traceback.print_exc()
        ending = Ending(spec.number, "failed", message=traceback.format_exception_only(error)[-1].strip())
    if ending.state == "stopped" and not mail.is_to_stop:
        sys.exit(EXIT_TERMINATED)
    mail.tell(ending)
    return ending


@contextmanager
def terminated_by(number: signal.Signals) -> Iterator[None]:
    """Let a signal end what runs inside as SIGTERM ends a run; schedulers put handlers of their own in place."""

    def end(*_: int | FrameType | None) -> None:
        raise Terminated

    before = signal.signal(number, end)
    try:
        yield
    finally:
        signal.signal(number, before)


@dataclass
class _Started:
    """A job that was given to the scheduler; a thread waits until it is over.

    An event tells of that: `Thread.is_alive` is wrong once Ctrl-C came while a thread was being joined.
    """

    spec: Spec
    mail: Mail
    over: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    told: Progress | None = None


class Cluster(ABC):
    """Gives jobs to a scheduler, at most so many at once, and passes on what they tell.

    Args:
        at_once: jobs that the scheduler has at once, waiting or running.

    Raises:
        InputError: `at_once` is not positive.
    """

    def __init__(self, *, at_once: int) -> None:
        if at_once < 1:
            raise InputError(f"launcher.at_once: expected 1 or more runs at once, got {at_once}")
        self.at_once = at_once
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext | None, task_function: TaskFunction, config: DictConfig) -> None:
        """Take the configuration that all jobs have in common; the other arguments are Hydra's custom."""
        self.config = config

    def slots(self, num_jobs: int | None) -> list[dict[str, str]]:
        """Return the environment of each job that runs at once: the scheduler gives each its own."""
        return [{} for _ in range(min(self.at_once, num_jobs or self.at_once))]

    @abstractmethod
    def connect(self, logs: Path) -> None:
        """Get ready to give jobs to the scheduler; what they print goes into a folder."""

    @abstractmethod
    def run(self, spec: Spec, mail: Mail) -> Any:
        """Give a job to the scheduler, and return when it is over; raise if it ended without a word."""

    def stream(self, jobs: Iterable[Spec | None], watch: Watch, *, sweep: Path, num_jobs: int | None = None) -> None:
        """Run jobs; each is taken from `jobs` when there is room for it; None there says that there is none for now.

        Ctrl-C, or whatever else is raised here, asks all jobs to stop and waits for those that run. One that
        still waits in the scheduler's queue ends as soon as it begins.
        """
        self.connect(sweep / "logs")
        folder = sweep / "mail" / secrets.token_hex(4)
        queue, started = Queue(jobs), list[_Started]()
        try:
            while queue.more or started:
                while len(started) < self.at_once and (spec := queue.take()):
                    started.append(self._start(spec, Mail(folder, spec.number)))
                if started:
                    _pass_on(started, watch)
                elif queue.more:
                    time.sleep(TICK_SECONDS)
        except BaseException:
            _end_all(started, watch)
            raise

    def _start(self, spec: Spec, mail: Mail) -> _Started:
        def wait() -> None:
            try:
                self.run(spec, mail)
            except BaseException as error:
                job.errors.append(error)
            finally:
                job.over.set()

        job = _Started(spec, mail)
        threading.Thread(target=wait, name=f"job-{spec.number}", daemon=True).start()
        return job


def _pass_on(started: list[_Started], watch: Watch) -> None:
    """Wait a tick, and pass on what jobs have told since; those that are over leave the list."""
    started[0].over.wait(TICK_SECONDS)
    for job in list(started):
        over = job.over.is_set()
        progress = job.mail.progress()
        if progress is not None and progress != job.told:
            if job.told is None:
                watch.started(job.spec)
            if progress.epochs:
                watch.progressed(progress)
            job.told = progress
        if over:
            started.remove(job)
            watch.ended(job.mail.ending() or _without_a_word(job))
    watch.tick()


def _without_a_word(job: _Started) -> Ending:
    error = job.errors[0] if job.errors else RuntimeError("the scheduler ended it")
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    message = f"ended without a word: {lines[-1]}"
    return Ending(job.spec.number, "failed", message=message, seconds=time.monotonic() - job.began)


def _end_all(started: list[_Started], watch: Watch) -> None:
    """Ask all jobs to stop, and wait for those that have begun; a second Ctrl-C ends the waiting."""
    if not started:
        return
    started[0].mail.ask_to_stop()
    try:
        while any(job.told is not None for job in started):
            _pass_on(started, watch)
    except KeyboardInterrupt:
        pass
    for job in started:
        watch.ended(Ending(job.spec.number, "stopped", message="it stops as soon as it begins"))
