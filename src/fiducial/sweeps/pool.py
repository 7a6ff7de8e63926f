"""Processes forked from a warm one, each with one job: what happens to one leaves the others as they are."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Protocol

from fiducial import ranks
from fiducial.sweeps.job import Ending, Progress, Queue, Spec
from fiducial.tracking.liveness import end_with_parent

WANTED = "FIDUCIAL_WANTED"  # tells the process that jobs are forked from what to import, and which cases to read
KNOWN = ("fiducial.", "monai.", "optuna.", "torch.")  # packages whose import does nothing else
TICK_SECONDS = 0.5
LAST_WORDS = 3  # lines of a dead process's output that are shown


class Watch(Protocol):
    """Is told what happens to the jobs."""

    def started(self, spec: Spec) -> None:
        """Take note that a process has the job."""

    def progressed(self, progress: Progress) -> None:
        """Take note of how far a job is."""

    def ended(self, ending: Ending) -> None:
        """Take note of how a job ended."""

    def tick(self) -> None:
        """Do what is to be done every half second."""


@dataclass(frozen=True)
class Limits:
    """How long a job may take before it is ended.

    Attributes:
        seconds: in all; None for as long as it likes.
        silent_seconds: without a sign of progress; None for as long as it likes.
        patience_seconds: from being asked to end until it is killed.
    """

    seconds: float | None = None
    silent_seconds: float | None = None
    patience_seconds: float = 30.0


@dataclass
class _Worker:
    """A process with a job."""

    spec: Spec
    process: ForkServerProcess
    channel: connection.Connection
    slot: int
    log: Path
    began: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    asked: float | None = None  # to end, when
    reason: str = ""
    ending: Ending | None = None


def warm_up(targets: Iterable[str] = (), source: Mapping[str, Any] | None = None) -> None:
    """Start the process that all jobs are forked from; it imports what they need while this one goes on.

    Once started, it stays as it is.

    Args:
        targets: dotted names of the classes that jobs are built from; the user's own are left to each job.
        source: describes where jobs have their cases from, if all have them from there: they are read once.
    """
    modules = sorted({target.rpartition(".")[0] for target in targets if target.startswith(KNOWN)})
    multiprocessing.get_context("forkserver").set_forkserver_preload(["fiducial.sweeps.warm"])
    shared = source if source is not None and source["_target_"].startswith(KNOWN) else None
    os.environ[WANTED] = json.dumps({"modules": modules, "source": shared})
    forkserver.ensure_running()
    del os.environ[WANTED]


class Pool:
    """Runs jobs, as many at once as there are slots; a free slot takes the next job at once.

    Args:
        slots: environment variables of each slot: its GPU, its number of threads.
        logs: folder for what each process prints, `<number>.log`.
        limits: on each job.
        work: dotted name of what a process does with its job: takes a `Spec` and a function that reports progress,
            returns an `Ending`.
    """

    def __init__(
        self,
        slots: Sequence[Mapping[str, str]],
        logs: Path,
        limits: Limits,
        work: str = "fiducial.sweeps.worker.execute",
    ) -> None:
        self._slots, self._logs, self._limits, self._work = slots, logs, limits, work
        self._free = list(range(len(slots)))[::-1]
        self._workers: list[_Worker] = []
        logs.mkdir(parents=True, exist_ok=True)

    def run(self, jobs: Iterable[Spec | None], watch: Watch) -> None:
        """Run all jobs, each taken from `jobs` when there is a slot for it; None there says that there is none for now.

        Ctrl-C, or whatever else is raised here, ends them all first, each with its true status.
        """
        warm_up()
        queue = Queue(jobs)
        try:
            while queue.more or self._workers:
                while self._free and (spec := queue.take()):
                    self._start(spec, watch)
                self._step(watch)
        except BaseException:
            self._end_all(watch)
            raise

    def _start(self, spec: Spec, watch: Watch) -> None:
        slot = self._free.pop()
        ours, theirs = multiprocessing.Pipe(duplex=False)
        log = self._logs / f"{spec.number}.log"
        alone = {name: value for name, value in os.environ.items() if name not in ranks.VARIABLES}
        environment = {**alone, **self._slots[slot]}
        context = multiprocessing.get_context("forkserver")
        given = (self._work, spec, environment, log, theirs)
        process = context.Process(target=_main, args=given, name=f"job-{spec.number}")
        process.start()
        theirs.close()
        self._workers.append(_Worker(spec, process, ours, slot, log))
        watch.started(spec)

    def _step(self, watch: Watch) -> None:
        """Wait for news, at most a tick; pass them on; end what is over its limits."""
        waited = {worker.channel: worker for worker in self._workers}
        for ready in connection.wait(list(waited), timeout=TICK_SECONDS):
            assert isinstance(ready, connection.Connection)
            self._listen(waited[ready], watch)
        for worker in self._workers:
            self._enforce(worker)
        watch.tick()

    def _listen(self, worker: _Worker, watch: Watch) -> None:
        try:
            news = worker.channel.recv()
        except (EOFError, OSError):
            self._gone(worker, watch)
            return
        worker.heard = time.monotonic()
        if isinstance(news, Progress):
            watch.progressed(news)
        elif isinstance(news, Ending):
            worker.ending = news

    def _gone(self, worker: _Worker, watch: Watch) -> None:
        """A process has closed its end: it is over, with an ending or without a word."""
        worker.process.join(self._limits.patience_seconds)
        if worker.process.is_alive():  # it said its last word, and does not come to its end
            _kill(worker.process)
            worker.process.join()
        self._workers.remove(worker)
        self._free.append(worker.slot)
        worker.channel.close()
        watch.ended(self._ending(worker))
        worker.process.close()

    def _ending(self, worker: _Worker) -> Ending:
        seconds = time.monotonic() - worker.began
        said = worker.ending
        if worker.reason and (said is None or said.state in ("stopped", "failed")):
            return Ending(worker.spec.number, "failed", said.out if said else "", worker.reason, seconds)
        if said is not None:
            return said
        if worker.asked is not None:
            return Ending(worker.spec.number, "stopped", message="stopped", seconds=seconds)
        message = _death(worker.process.exitcode) + _last_words(worker.log)
        return Ending(worker.spec.number, "failed", message=message, seconds=seconds)

    def _enforce(self, worker: _Worker) -> None:
        now, limits = time.monotonic(), self._limits
        if worker.asked is not None:
            if now - worker.asked > limits.patience_seconds:
                _kill(worker.process)
        elif limits.seconds is not None and now - worker.began > limits.seconds:
            self._ask(worker, f"ended after {limits.seconds / 60:g} min (launcher.limit_minutes)")
        elif limits.silent_seconds is not None and now - worker.heard > limits.silent_seconds:
            self._ask(worker, f"hung: no step for {limits.silent_seconds / 60:g} min (launcher.silent_minutes)")

    def _ask(self, worker: _Worker, reason: str = "") -> None:
        worker.asked, worker.reason = time.monotonic(), worker.reason or reason
        with suppress(ProcessLookupError):
            os.kill(worker.process.pid or 0, signal.SIGTERM)

    def _end_all(self, watch: Watch) -> None:
        """Ask every job to end and wait for it; a second Ctrl-C makes them hurry, a third kills them."""
        for _ in range(2):
            try:
                for worker in self._workers:
                    self._ask(worker)
                while self._workers:
                    self._step(watch)
                return
            except KeyboardInterrupt:
                continue
        for worker in self._workers:
            _kill(worker.process)
        while self._workers:
            self._step(watch)


def _kill(process: ForkServerProcess) -> None:
    """Kill a job's process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()


def _death(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "killed by SIGKILL: most often the machine had no memory left (launcher.at_once=1 needs the least)"
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exited with code {code} without a word"


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.is_file() else []
    return "".join(f"\n  {line}" for line in lines[-LAST_WORDS:])


def _main(work: str, spec: Spec, environment: Mapping[str, str], log: Path, channel: connection.Connection) -> None:
    """Be the process of a job: in a group of its own, its output in a file, dead when the server is.

    The server ends when nobody holds the other end of its pipe; a job that did would keep it, and so all jobs, alive.
    """
    _let_go_of_server()
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the sweep's business, which asks each job to end
    end_with_parent(signal.SIGTERM)
    os.environ.clear()
    os.environ.update(environment)
    with _written_to(log):
        module, _, name = work.rpartition(".")
        _tell(channel, getattr(import_module(module), name)(spec, partial(_tell, channel)))
    channel.close()


def _let_go_of_server() -> None:
    server: Any = forkserver._forkserver
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = None


def _tell(channel: connection.Connection, news: Progress | Ending) -> None:
    """Tell the sweep; one that is gone is no reason for a run to fail: it is asked to end by its own signal."""
    with suppress(OSError):
        channel.send(news)


@contextmanager
def _written_to(log: Path) -> Iterator[None]:
    """Send all that this process and its children print into a file."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    yield
    sys.stdout.flush()
    sys.stderr.flush()
