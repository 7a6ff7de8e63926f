"""What a sweep looks like while it runs: a live table in a terminal, a line an event elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fiducial.sweeps.job import Ending, Progress, Spec

STYLES = {"done": "green", "failed": "bold red", "stopped": "yellow", "pruned": "cyan", "running": "bold"}


@dataclass
class Row:
    """A job, as the table shows it."""

    title: str
    state: str = "waiting"
    progress: Progress | None = None
    began: float = 0.0
    first_step: int = 0  # of this process: a run that goes on was further already
    seconds: float = 0.0
    message: str = ""
    out: str = ""

    def left(self, now: float) -> float | None:
        """Return the seconds that a running job will still take, once it has shown how fast it is."""
        progress = self.progress
        if self.state != "running" or progress is None or not progress.step or not progress.steps:
            return None
        if progress.step == self.first_step:
            return None
        return (now - self.began) * (progress.steps - progress.step) / (progress.step - self.first_step)


@dataclass
class Board:
    """Knows how every job of a sweep stands, and shows it.

    Attributes:
        rows: the jobs by number.
        num_slots: jobs that run at once.
        num_jobs: jobs in all, those of a search included that nobody knows yet.
        console: where to; standard error by default.
        endings: of the jobs that are over.
        judge: takes note of each ending, and returns it, or how it is to be taken.
        with_reasons: whether the line of a job that did not come to its end says why.
    """

    rows: dict[int, Row]
    num_slots: int
    num_jobs: int
    console: Console = field(default_factory=lambda: Console(file=sys.stderr, highlight=False))
    endings: dict[int, Ending] = field(default_factory=dict)
    judge: Callable[[Ending], Ending] = lambda ending: ending
    with_reasons: bool = True
    _live: Live | None = None

    @classmethod
    def of(cls, titles: Mapping[int, str], num_slots: int, num_jobs: int = 0) -> Board:
        """Return the board of some jobs."""
        rows = {number: Row(title) for number, title in titles.items()}
        return cls(rows, num_slots, max(num_jobs, len(rows)))

    @property
    def num_waiting(self) -> int:
        """Jobs that nobody has taken yet."""
        return max(0, self.num_jobs - sum(row.state != "waiting" for row in self.rows.values()))

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table while inside."""
        if not self.console.is_terminal:
            yield
            return
        with Live(self._table(), console=self.console, refresh_per_second=4, transient=True) as self._live:
            yield
        self._live = None

    def started(self, spec: Spec) -> None:
        """A process has taken a job."""
        row = self.rows.setdefault(spec.number, Row(spec.title))
        row.state, row.began, row.title = "running", time.monotonic(), spec.title
        self._say(f"[{spec.number}] started   {spec.title}")

    def progressed(self, progress: Progress) -> None:
        """A job is further than it was."""
        row = self.rows[progress.number]
        if row.progress is None:
            row.began = time.monotonic()  # training begins: what came before tells nothing of its speed
            row.first_step = progress.step
        row.progress = progress

    def ended(self, ending: Ending) -> None:
        """A job is over."""
        ending = self.judge(ending)
        row = self.rows.setdefault(ending.number, Row(f"run {ending.number}"))  # it may have ended before it began
        row.state, row.seconds, row.message, row.out = ending.state, ending.seconds, ending.message, ending.out
        if ending.objective is not None:  # which a run that was done before has, too
            row.progress = replace(row.progress or Progress(ending.number), objective=ending.objective)
        self.endings[ending.number] = ending
        objective = f"  {_objective(row.progress)}" if row.progress else ""
        told = self.with_reasons and ending.message not in ("", ending.state)
        because = f": {ending.message}" if told else ""
        self._say(f"[{ending.number}] {ending.state:<10}{row.title}{objective}  {_clock(ending.seconds)}{because}")

    def tick(self) -> None:
        """Show what is new."""
        if self._live is not None:
            self._live.update(self._table())

    def left(self) -> float | None:
        """Return the seconds that the sweep will still take, as far as its jobs are alike."""
        now = time.monotonic()
        waiting = self.num_waiting
        running = [row for row in self.rows.values() if row.state == "running"]
        known = [left for row in running if (left := row.left(now)) is not None]
        lengths = [row.seconds for row in self.rows.values() if row.state == "done" and row.seconds > 0]
        lengths = lengths or [now - row.began + left for row in running if (left := row.left(now)) is not None]
        if waiting and not lengths:
            return None
        if len(known) < len(running) and not lengths:
            return None
        mean = sum(lengths) / len(lengths) if lengths else 0.0
        total = sum(known) + (len(running) - len(known) + waiting) * mean
        return max([total / self.num_slots, *known])

    def _say(self, line: str) -> None:
        if self._live is None:
            self.console.print(Text(line), soft_wrap=True)

    def _table(self) -> Table:
        table = Table(caption=self._caption(), caption_justify="left", box=None, pad_edge=False)
        for name in ("", "run", "state", "epoch", "objective", "left"):
            # Where the terminal is narrow only titles are cut; they stay on one line by themselves.
            table.add_column(name, justify="left" if name in ("run", "state") else "right", no_wrap=name != "run")
        now = time.monotonic()
        for number, row in self._visible():
            epoch = f"{row.progress.epoch}/{row.progress.epochs}" if row.progress else ""
            left = _clock(row.left(now)) if row.state == "running" else _clock(row.seconds or None)
            state = Text(row.state, STYLES.get(row.state, "dim"))
            title = Text(row.title, no_wrap=True, overflow="ellipsis")
            table.add_row(str(number), title, state, epoch, _objective(row.progress), left)
        return table

    def _visible(self) -> list[tuple[int, Row]]:
        """Return as many rows as the terminal has lines for: what runs, what failed, what ended last, what is next."""
        order = {"running": 0, "failed": 1, "stopped": 1, "done": 2, "pruned": 2, "waiting": 3}
        room = max(3, self.console.height - 4)
        recent = list(self.endings)[::-1]
        rank = {number: position for position, number in enumerate(recent)}
        ranked = sorted(self.rows.items(), key=lambda item: (order.get(item[1].state, 2), rank.get(item[0], item[0])))
        return sorted(ranked[:room])

    def _caption(self) -> str:
        counts = Counter(row.state for row in self.rows.values() if row.state != "waiting")
        counts.update({"waiting": self.num_waiting} if self.num_waiting else {})
        parts = [f"{count} {state}" for state, count in counts.items()]
        left = self.left()
        return ", ".join(parts) + (f"; {_clock(left)} left" if left is not None else "")


def _objective(progress: Progress | None) -> str:
    return f"{progress.objective:.4g}" if progress is not None and progress.objective is not None else ""


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
