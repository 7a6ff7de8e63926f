from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from fiducial.sweeps import board as module
from fiducial.sweeps.board import Board
from fiducial.sweeps.job import Ending, Progress, Spec


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def board(num_jobs: int, num_slots: int = 2) -> Board:
    made = Board.of({number: f"seed={number}" for number in range(num_jobs)}, num_slots)
    made.console = Console(file=io.StringIO(), width=120, highlight=False)
    return made


def spec(number: int) -> Spec:
    return Spec(number, (), None, "", f"seed={number}")


def said(made: Board) -> str:
    return made.console.file.getvalue()  # type: ignore[attr-defined]


def test_an_ending_is_shown_as_it_is_judged() -> None:
    made = board(1)
    made.judge = lambda ending: replace(ending, state="failed", message="no number")
    made.ended(Ending(0, "done", "somewhere"))
    assert (made.rows[0].state, made.endings[0].message) == ("failed", "no number")


def test_a_line_says_how_each_job_began_and_ended() -> None:
    made = board(2)
    made.started(spec(0))
    made.progressed(Progress(0, 1, 5, 10, 50, 0.75))
    made.ended(Ending(0, "done", "somewhere", seconds=65, objective=0.8125))
    made.started(spec(1))
    made.ended(Ending(1, "failed", message="no [memory] left"))
    lines = said(made).splitlines()
    assert lines[0] == "[0] started   seed=0"
    assert lines[1].split() == ["[0]", "done", "seed=0", "0.8125", "1:05"]
    assert lines[3] == "[1] failed    seed=1  0:00: no [memory] left"


def test_a_line_says_nothing_twice() -> None:
    made = board(2)
    made.started(spec(0))
    made.ended(Ending(0, "stopped", message="stopped"))
    made.with_reasons = False
    made.started(spec(1))
    made.ended(Ending(1, "failed", message="no memory left"))
    lines = said(made).splitlines()
    assert lines[1] == "[0] stopped   seed=0  0:00"
    assert lines[3] == "[1] failed    seed=1  0:00"


def test_the_time_left_is_that_of_runs_to_come_divided_by_what_runs_at_once(clock: Clock) -> None:
    made = board(6)
    assert made.left() is None
    for number in (0, 1):
        made.started(spec(number))
        made.progressed(Progress(number, 0, 10, 0, 100))
    assert made.left() is None  # nobody knows yet how fast they are
    clock.now += 10
    made.progressed(Progress(0, 2, 10, 25, 100))
    made.progressed(Progress(1, 5, 10, 50, 100))
    # 30 s and 10 s are left of the two; a run takes (40 + 20) / 2 s, four are waiting; two at once
    assert made.left() == pytest.approx((30 + 10 + 4 * 30) / 2)
    for number in range(6):
        made.ended(Ending(number, "done", seconds=40))
    assert made.left() == 0


def test_the_time_left_of_a_run_that_goes_on_follows_from_its_steps_since_then(clock: Clock) -> None:
    made = board(1)
    made.started(spec(0))
    made.progressed(Progress(0, 50, 100, 5000, 10_000))
    assert made.left() is None
    clock.now += 10
    made.progressed(Progress(0, 50, 100, 5010, 10_000))
    assert made.left() == pytest.approx(4990)  # a step takes a second


def test_a_search_counts_runs_that_nobody_knows_yet() -> None:
    made = Board.of({}, 2, 10)
    made.console = Console(file=io.StringIO())
    made.started(spec(7))
    assert made.num_waiting == 9
    assert "1 running, 9 waiting" in made._caption()


def test_a_job_of_a_search_that_ends_before_it_has_begun_has_a_row() -> None:
    made = Board.of({}, 2, 3)
    made.console = Console(file=io.StringIO(), width=120, highlight=False)
    made.ended(Ending(1, "failed", message="sbatch: no such partition"))
    assert made.num_waiting == 2
    assert "[1] failed    run 1" in said(made)
    assert "no such partition" in said(made)


def test_a_small_terminal_shows_what_runs_and_what_failed_first() -> None:
    made = board(50)
    made.console = Console(file=io.StringIO(), height=8, width=100)
    made.started(spec(40))
    made.started(spec(45))
    made.ended(Ending(45, "failed", message="x"))
    shown = [number for number, _ in made._visible()]
    assert shown == [0, 1, 40, 45]
    assert made._table().row_count == 4


def test_a_narrow_terminal_cuts_titles_and_nothing_else(clock: Clock) -> None:
    made = board(1)
    made.started(replace(spec(0), title="model=plain_cnn widths=[16,32,64] optimizer.lr=0.0001 dropout=0.25 seed=2"))
    clock.now += 50
    made.progressed(Progress(0, 0, 100, 0, 100))
    clock.now += 50
    made.progressed(Progress(0, 12, 100, 25, 100, objective=0.8123))
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(made._table())
    head, row = console.export_text().splitlines()[:2]
    assert head.split() == ["run", "state", "epoch", "objective", "left"]
    assert "… " in row
    assert [word for word in ("running", "12/100", "0.8123", "2:30") if word not in row] == []
