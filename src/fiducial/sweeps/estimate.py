"""How long a plan would take: a few steps of each kind of run are measured, as many at once as would run at once."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fiducial.errors import InputError
from fiducial.sweeps.board import Board
from fiducial.sweeps.job import Ending, Measured
from fiducial.sweeps.launcher import LocalLauncher
from fiducial.sweeps.plan import Job, Plan
from fiducial.sweeps.pool import Limits, Pool, warm_up
from fiducial.sweeps.sweep import Streaming
from fiducial.wording import counted


@dataclass(frozen=True)
class Estimate:
    """What the missing runs of a plan would cost.

    Attributes:
        plan: the plan.
        measured: for each kind of run (`Job.cost`) what was measured.
        at_once: runs at once.
        elsewhere: they are to run on other machines than the one that was measured.
    """

    plan: Plan
    measured: Mapping[str, Measured]
    at_once: int
    elsewhere: bool = False

    @classmethod
    def of(cls, plan: Plan, launcher: Streaming) -> Estimate:
        """Measure each kind of run that is to be run: on this machine as many at once as would run, for others one.

        Raises:
            InputError: one of them cannot even start; saying which and why.
        """
        given, elsewhere = launcher.slots(len(plan.to_run)), not isinstance(launcher, LocalLauncher)
        slots = [{}] if elsewhere else given
        jobs = _to_measure(plan.to_run, len(slots))
        if not jobs:
            return cls(plan, {}, len(given), elsewhere)
        warm_up(plan.targets())
        specs = {spec.number: replace(spec, title=f"measure {spec.title}") for spec in plan.specs()}
        board = Board.of({job.number: specs[job.number].title for job in jobs}, len(slots))
        board.with_reasons = False  # they are told at the end
        with tempfile.TemporaryDirectory() as logs:
            work = "measure_for_elsewhere" if elsewhere else "measure"
            pool = Pool(slots, Path(logs), Limits(), work=f"fiducial.sweeps.probe.{work}")
            with board.shown():
                pool.run((specs[job.number] for job in jobs), board)
        measured: dict[str, Measured] = {}
        for job in jobs:
            one = _measured(job, board.endings[job.number])
            measured[job.cost] = max(one, measured.get(job.cost, one), key=lambda one: one.epoch_seconds)
        return cls(plan, measured, len(given), elsewhere)

    def seconds_of(self, job: Job) -> float:
        """Return how long a run would take."""
        measured = self.measured[job.cost]
        return measured.overhead + int(job.composed.cfg.epochs) * measured.epoch_seconds

    @property
    def seconds(self) -> float:
        """How long the whole plan would take: each run goes to the slot that is free first."""
        slots = [0.0] * self.at_once
        for job in self.plan.to_run:
            slots[slots.index(min(slots))] += self.seconds_of(job)
        return max(slots)

    def show(self, console: Console | None = None) -> None:
        """Print the plan: what is done, what would run, and how long it would take."""
        console = console or Console(highlight=False)
        table = Table(box=SIMPLE_HEAD)
        table.add_column("setting", overflow="fold")
        elsewhere = any(job.standing == "running" for job in self.plan.jobs)
        for name in ("done", *["running"] * elsewhere, "to do", "s/step", "steps", "a run"):
            table.add_column(name, justify="right", no_wrap=True)
        for setting, jobs in _by_setting(self.plan.jobs).items():
            standing = [job.standing for job in jobs]
            missing = [job for job in jobs if job in self.plan.to_run]
            cells = self._costs(missing[0]) if missing else ("", "", "")
            counts = [standing.count("done"), len(missing)]
            if elsewhere:
                counts.insert(1, standing.count("running"))
            table.add_row(Text(setting), *(str(count or "") for count in counts), *cells)
        console.print(table)
        console.print(self.sentence(), soft_wrap=True)

    def sentence(self) -> str:
        """Return the plan in one line."""
        jobs, to_run = self.plan.jobs, self.plan.to_run
        repeated = f" ({self.plan.num_repeated} combinations say the same as others)" if self.plan.num_repeated else ""
        runs = counted(len(jobs), "run")
        if not to_run:
            return f"{runs}{repeated}, all done or running"
        where = "; measured on this machine, one run at a time" if self.elsewhere else ""
        return f"{len(to_run)} of {runs} to do{repeated}, {self.at_once} at once: {_span(self.seconds)}{where}"

    def _costs(self, job: Job) -> tuple[str, str, str]:
        measured = self.measured[job.cost]
        steps = measured.steps * job.composed.cfg.epochs
        return f"{measured.step_seconds:.3g}", f"{steps:,}", _span(self.seconds_of(job)).replace("about", "≈")


def _to_measure(jobs: Sequence[Job], num_slots: int) -> list[Job]:
    """Return a job of each kind, and others of theirs in slots that would stay empty: alone, each would be faster."""
    kinds = {job.cost: job for job in reversed(jobs)}
    others = [job for job in jobs if kinds[job.cost] is not job]
    return [*kinds.values(), *others[: -len(kinds) % num_slots]]


def _measured(job: Job, ending: Ending) -> Measured:
    if not isinstance(ending, Measured):
        raise InputError(f"{job.title}: {ending.message}")
    return ending


def _by_setting(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.setting, []).append(job)
    return groups


def _span(seconds: float) -> str:
    """Return seconds with the precision that an estimate has.

    >>> _span(42), _span(500), _span(9000)
    ('about 42 s', 'about 8 min', 'about 2.5 h')
    """
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {math.ceil(seconds / 360) / 10:g} h"
