"""From planned jobs to a finished sweep: the parent run, the processes, what came out."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fiducial.config.construction import component
from fiducial.config.scalars import described
from fiducial.errors import InputError
from fiducial.runs.folder import check_writable
from fiducial.sweeps.board import Board
from fiducial.sweeps.job import Ending, Spec, State
from fiducial.sweeps.launcher import LocalLauncher
from fiducial.sweeps.nesting import take_done
from fiducial.sweeps.pool import Watch, warm_up
from fiducial.sweeps.search.storage import AwayError
from fiducial.sweeps.summary import Summary, points, summarise
from fiducial.tracking import Run, Tracker, track
from fiducial.tracking.courier import DELIVERED, Courier
from fiducial.tracking.journal import History
from fiducial.tracking.liveness import FOLDER, is_alive, write_whole
from fiducial.tracking.reconcile import reconcile
from fiducial.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SWEEP, SUMMARY, FIGURES = "sweep.json", "summary.csv", "figures"
DRAWN_BY = "fiducial.reports.figures.settings"  # brings matplotlib, which takes its time
ENDED: Mapping[State, str] = {"failed": "failed", "stopped": "stopped from outside"}  # early, and how that is said
PATIENCE_SECONDS = 60.0  # for the store, at the end


class IncompleteError(InputError):
    """Some runs of a sweep did not come to their end; the same command runs only those."""


class Jobs(Protocol):
    """Where the jobs of a sweep come from: all combinations of some values, or a search."""

    @property
    def outputs(self) -> Path:
        """The folder of all runs."""

    @property
    def out(self) -> Path:
        """The sweep's folder, the same for the same command."""

    @property
    def name(self) -> str:
        """What the sweep is called in the tracking UI."""

    @property
    def study(self) -> str:
        """Experiment in the tracking UI."""

    @property
    def objectives(self) -> Sequence[str]:
        """What judges the runs, if it is another than what each selects its checkpoint by; the first ranks them."""

    @property
    def config(self) -> DictConfig:
        """A job's configuration, of which the sweep takes `tracking`, `hardware` and `launcher`."""

    def targets(self) -> Iterable[str]:
        """Return the dotted names of the classes that jobs are built from, as far as they are known."""

    def __len__(self) -> int:
        """Return the number of jobs that are to be run."""

    def remark(self, at_once: int) -> str:
        """Return what is to be said of so many jobs at once; empty where there is nothing."""

    def titles(self) -> Mapping[int, str]:
        """Return the jobs to be run that are known beforehand, by number."""

    def specs(self) -> Iterator[Spec | None]:
        """Yield the jobs; each is asked for when there is room for it, and is None where there is none for now."""

    def ended(self, ending: Ending) -> Ending:
        """Take note of how a job ended; return it, failed where its result is of no use."""

    def settle(self) -> None:
        """Do what is to be done once all jobs are over."""

    def params(self) -> Mapping[str, str]:
        """Return what the parent run shows of the sweep as parameters."""

    def content(self) -> dict[str, Any]:
        """Return what describes the sweep, to be kept as JSON."""

    def finished(self) -> Iterable[tuple[str, str, Path]]:
        """Yield title, setting and folder of every run that is done, now or before."""

    def elsewhere(self) -> int:
        """Return how many runs were left to another process, and are not done yet."""

    def pictures(self) -> Mapping[str, Figure]:
        """Return pictures of the sweep's own kind."""


class Streaming(Protocol):
    """A Hydra launcher that takes each job when there is room for it."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        """Take the configuration that all jobs have in common."""

    def slots(self, num_jobs: int | None) -> list[dict[str, str]]:
        """Return the environment of each job that runs at once."""

    def stream(self, jobs: Iterable[Spec | None], watch: Watch, *, sweep: Path, num_jobs: int | None = None) -> None:
        """Run jobs; each is taken from `jobs` when there is room for it."""


def sweep(jobs: Jobs) -> None:
    """Run what is missing of a sweep.

    Raises:
        IncompleteError: some runs failed, or are in the hands of other processes.
        InputError: the folder of all runs cannot be written.
    """
    check_writable(jobs.outputs)
    if len(jobs) == 0:
        _conclude(jobs)
        return
    launcher = launcher_of(jobs)
    if isinstance(launcher, LocalLauncher):
        warm_up(jobs.targets(), described(jobs.config.data.source))
    board = Board.of(jobs.titles(), len(launcher.slots(len(jobs))), len(jobs))
    if remark := jobs.remark(board.num_slots):
        print(remark, file=sys.stderr)
    board.judge = jobs.ended
    if is_alive(jobs.out):
        print("another process leads this sweep, and will keep its summary; this one shares its work", file=sys.stderr)
        try:
            _stream(jobs, launcher, board)
        finally:
            _tell(_summed_up(jobs), jobs, board)
        _refuse_incomplete(board, jobs.elsewhere())
        return
    with _parent(jobs) as (run, tracker):
        Thread(target=import_module, args=(DRAWN_BY,), daemon=True).start()  # while the first jobs are on their way
        try:
            with _delivered(tracker, run, launcher):
                _stream(jobs, launcher, board)
                take_done(jobs.finished(), jobs.out, tracker)
        finally:
            summary = _summed_up(jobs)
            _keep(run, jobs, summary)
            _tell(summary, jobs, board)
        _refuse_incomplete(board, jobs.elsewhere())


def _conclude(jobs: Jobs) -> None:
    """Show what came out of a sweep of which nothing is left to run; keep it, if nobody has."""
    elsewhere = jobs.elsewhere()
    print("every other run is done" if elsewhere else "every run is done; nothing to run")
    summary = summarise(jobs.finished(), jobs.objectives)
    kept = (jobs.out / SUMMARY).is_file() and History.of(jobs.out / FOLDER / "journal.jsonl").status == "FINISHED"
    if kept:
        _deliver(component(jobs.config.tracking))
    elif not elsewhere and not is_alive(jobs.out):
        with _parent(jobs) as (run, _):
            _keep(run, jobs, summary)
    _show(summary, jobs.out)
    _refuse_incomplete(Board.of({}, 0), elsewhere)


def _deliver(tracker: Tracker) -> None:
    """Deliver what has not reached the store since it was away; say what has now, and what still has not."""
    if tracker.uri is None:
        return
    done = reconcile(tracker.outputs, tracker)
    left = [one for one in done if not one.delivered]
    if arrived := len(done) - len(left):
        print(f"now whole in the tracking store: {counted(arrived, 'run')}", file=sys.stderr)
    if left:
        print(
            f"not yet whole in the tracking store: {counted(len(left), 'run')} ({left[0].reason}); the same command "
            f"delivers the rest, or the next run in {tracker.outputs}, or `fiducial doctor`",
            file=sys.stderr,
        )


@contextmanager
def _parent(jobs: Jobs) -> Iterator[tuple[Run, Tracker]]:
    """Have the parent run of all jobs, or go on with it; this process delivers it."""
    tracker: Tracker = component(jobs.config.tracking)
    resume = History.of(jobs.out / FOLDER / "journal.jsonl").run is not None
    with track(jobs.out, tracker, name=jobs.name, experiment=jobs.study, resume=resume) as run:
        _describe(run, jobs)
        take_done(jobs.finished(), jobs.out, tracker)
        run.start_delivery(apart=False)  # this process delivers for its jobs, too
        yield run, tracker


def _stream(jobs: Jobs, launcher: Streaming, board: Board) -> None:
    with board.shown():
        launcher.stream(jobs.specs(), board, sweep=jobs.out, num_jobs=len(jobs))
        jobs.settle()


def _summed_up(jobs: Jobs) -> Summary:
    """Return what came out; nothing where the database that knows it is away."""
    try:
        return summarise(jobs.finished(), jobs.objectives)
    except AwayError:
        print("no summary for now: the database of the search does not answer", file=sys.stderr)
        return Summary(())


def _tell(summary: Summary, jobs: Jobs, board: Board) -> None:
    """Show how a sweep ended."""
    _show(summary, jobs.out)
    _show_failures(board, jobs.out / "logs")
    _show_left(board)


def launcher_of(jobs: Jobs) -> Streaming:
    """Return what runs the jobs."""
    launcher: Streaming = component(jobs.config.launcher)
    launcher.setup(hydra_context=None, task_function=None, config=jobs.config)
    return launcher


@contextmanager
def _delivered(tracker: Tracker, run: Run, launcher: Streaming) -> Iterator[None]:
    """Deliver the journals of all jobs from this process: each of them need not import and open MLflow."""
    if tracker.uri is None:
        yield
        return
    os.environ[DELIVERED] = run.id
    courier = Courier(tracker, run.id, restarted=not isinstance(launcher, LocalLauncher))
    courier.start()
    try:
        yield
    finally:
        del os.environ[DELIVERED]
        courier.finish(PATIENCE_SECONDS)


def _describe(run: Run, jobs: Jobs) -> None:
    run.log_params(jobs.params())
    run.set_tags({"fiducial.sweep": jobs.out.name})
    write_whole(jobs.out / SWEEP, json.dumps(jobs.content(), indent=1))
    run.log_file(jobs.out / SWEEP)


def _keep(run: Run, jobs: Jobs, summary: Summary) -> None:
    """Keep what came out, in the sweep's folder and with its parent run."""
    if not summary.results:
        return
    write_whole(jobs.out / SUMMARY, summary.csv())
    run.log_file(jobs.out / SUMMARY)
    runs = [os.path.relpath(result.out, jobs.out) for result in summary.results]
    write_whole(jobs.out / SWEEP, json.dumps({**jobs.content(), "runs": runs}, indent=1))
    run.log_file(jobs.out / SWEEP)
    number = len(summary.results)
    run.log_metrics({"runs/done": float(number)}, number)
    if (best := summary.best) is not None:
        name, value = best.objective
        run.set_tags({"fiducial.best": best.title, "fiducial.best_run": best.out.name})
        run.log_metrics({f"best/{name}": value}, number)
    if front := summary.front:
        run.set_tags({"fiducial.front": "; ".join(front)})
    _draw(run, jobs, summary)


def _draw(run: Run, jobs: Jobs, summary: Summary) -> None:
    from fiducial.reports.figures import save
    from fiducial.reports.figures.settings import settings as draw_settings

    (jobs.out / FIGURES).mkdir(exist_ok=True)
    own = {f"test {score}": points(summary, score) for score in summary.shown()[:1]}
    panels = {**{name: points(summary, name) for name in summary.objectives}, **own}
    for title, figure in {"settings": draw_settings(panels, over_folds=summary.over_folds), **jobs.pictures()}.items():
        save(figure, jobs.out / FIGURES / f"{title}.png")
        run.log_file(jobs.out / FIGURES / f"{title}.png", FIGURES)


def _show(summary: Summary, out: Path) -> None:
    if summary.results:
        Console(highlight=False).print(summary.table())
        if (out / SUMMARY).is_file():
            print(f"summary  {out / SUMMARY}")


def _show_failures(board: Board, logs: Path) -> None:
    failed = [ending for ending in board.endings.values() if ending.state in ("failed", "elsewhere", "stopped")]
    if not failed:
        return
    table = Table("run", "state", "why", box=SIMPLE_HEAD)
    for ending in sorted(failed, key=lambda ending: ending.number):
        row = board.rows[ending.number]
        why = "interrupted" if ending.state == "stopped" else (ending.message.splitlines() or [""])[0]
        table.add_row(Text(row.title), ending.state, Text(why))
    Console(stderr=True, highlight=False).print(table)
    print(f"what each of them printed: {logs}/NUMBER.log", file=sys.stderr)


def _show_left(board: Board) -> None:
    """Say what an interrupted sweep has left."""
    stopped = sum(ending.state == "stopped" for ending in board.endings.values())
    if stopped:
        waiting = board.num_waiting
        print(
            f"{stopped + waiting} of {board.num_jobs} runs are left: {stopped} interrupted, {waiting} not begun; "
            "the same command goes on with them",
            file=sys.stderr,
        )


def _refuse_incomplete(board: Board, elsewhere: int) -> None:
    """Raise unless every run is done; `elsewhere` of them were left to another process, and are not."""
    states = Counter(ending.state for ending in board.endings.values())
    runs = counted(len(board.rows), "run")
    parts = [f"{states[state]} of {runs} {word}" for state, word in ENDED.items() if states[state]]
    elsewhere += states["elsewhere"]
    parts += [f"being run by another process: {elsewhere}"] if elsewhere else []
    if parts:
        raise IncompleteError(f"{' and '.join(parts)}; the same command again runs only what is missing")
