"""Jobs on other machines, of which only small files are seen; the scheduler is a stand-in."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fiducial.errors import InputError
from fiducial.sweeps import cluster
from fiducial.sweeps.cluster import Cluster, Mail
from fiducial.sweeps.job import Ending, Progress, Spec


class StandIn(Cluster):
    """Runs each job in this process: two steps, each of which waits for leave."""

    def __init__(self, *, at_once: int, queued: tuple[int, ...] = (), silent: tuple[int, ...] = ()) -> None:
        super().__init__(at_once=at_once)
        self.queued, self.silent = queued, silent
        self.go = threading.Event()
        self.go.set()
        self.now, self.most = 0, 0

    def connect(self, logs: Path) -> None:
        logs.mkdir(parents=True)

    def run(self, spec: Spec, mail: Mail) -> None:
        while spec.number in self.queued:
            time.sleep(0.01)
        self.now += 1
        self.most = max(self.most, self.now)
        for step in range(3):
            mail.tell(Progress(spec.number, epoch=step, epochs=2, step=step, steps=2, objective=step / 2))
            if spec.number in self.silent:
                self.now -= 1
                raise RuntimeError("first line\nkilled by the machine")
            while not self.go.wait(0.01) and not mail.is_to_stop:
                pass
            if mail.is_to_stop:
                mail.tell(Ending(spec.number, "stopped", message="stopped"))
                return
        self.now -= 1
        mail.tell(Ending(spec.number, "done", out="there", seconds=2.0, objective=0.75))


class Watcher:
    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.endings: dict[int, Ending] = {}
        self.furthest: dict[int, int] = {}
        self.interrupt_at = -1
        self.ticks = 0

    def started(self, spec: Spec) -> None:
        self.heard.append(("started", spec.number))

    def progressed(self, progress: Progress) -> None:
        self.furthest[progress.number] = progress.epoch

    def ended(self, ending: Ending) -> None:
        self.heard.append(("ended", ending.number))
        self.endings[ending.number] = ending

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks == self.interrupt_at:
            raise KeyboardInterrupt


def specs(count: int, taken: list[int] | None = None) -> Iterator[Spec]:
    for number in range(count):
        if taken is not None:
            taken.append(number)
        yield Spec(number, (), None, "", f"job {number}")


def test_jobs_of_which_there_is_none_for_now_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "TICK_SECONDS", 0.01)
    watch = Watcher()
    one, two = specs(2)
    StandIn(at_once=2).stream(iter([None, one, None, None, two, None]), watch, sweep=tmp_path)
    assert sorted(watch.endings) == [0, 1]


def test_every_job_ends_and_no_more_run_at_once_than_may(tmp_path: Path) -> None:
    cluster, watch = StandIn(at_once=2), Watcher()
    cluster.stream(specs(5), watch, sweep=tmp_path)
    done = {number: Ending(number, "done", "there", "", 2.0, 0.75) for number in range(5)}
    assert watch.endings == done
    assert cluster.most <= 2
    assert all(watch.heard.index(("started", n)) < watch.heard.index(("ended", n)) for n in range(5))
    assert watch.furthest == dict.fromkeys(range(5), 2)


def test_a_job_is_taken_when_there_is_room_for_it(tmp_path: Path) -> None:
    cluster, watch, taken = StandIn(at_once=2), Watcher(), []
    cluster.go.clear()
    thread = threading.Thread(target=cluster.stream, args=(specs(4, taken), watch), kwargs={"sweep": tmp_path})
    thread.start()
    while len(watch.furthest) < 2:
        time.sleep(0.01)
    assert taken == [0, 1]
    cluster.go.set()
    thread.join()
    assert taken == [0, 1, 2, 3]


def test_a_job_that_ends_without_a_word_has_failed_and_the_others_go_on(tmp_path: Path) -> None:
    watch = Watcher()
    StandIn(at_once=3, silent=(1,)).stream(specs(3), watch, sweep=tmp_path)
    assert [watch.endings[number].state for number in range(3)] == ["done", "failed", "done"]
    assert watch.endings[1].message == "ended without a word: killed by the machine"


def test_ctrl_c_stops_what_runs_and_what_still_waits_in_the_queue(tmp_path: Path) -> None:
    cluster, watch = StandIn(at_once=3, queued=(2,)), Watcher()
    cluster.go.clear()
    watch.interrupt_at = 1
    with pytest.raises(KeyboardInterrupt):
        cluster.stream(specs(9), watch, sweep=tmp_path)
    assert sorted(watch.endings) == [0, 1, 2]
    assert {ending.state for ending in watch.endings.values()} == {"stopped"}
    assert "as soon as it begins" in watch.endings[2].message
    (folder,) = (tmp_path / "mail").iterdir()
    assert Mail(folder, 2).is_to_stop
    cluster.queued = ()


def test_the_next_start_of_a_sweep_is_not_stopped_by_the_last(tmp_path: Path) -> None:
    (tmp_path / "mail" / "0").mkdir(parents=True)
    Mail(tmp_path / "mail" / "0", 0).ask_to_stop()
    watch = Watcher()
    StandIn(at_once=1).stream(specs(1), watch, sweep=tmp_path)
    assert watch.endings[0].state == "done"


@pytest.mark.parametrize("number", [0, -1])
def test_no_room_at_all_is_refused(number: int) -> None:
    with pytest.raises(InputError, match="at_once"):
        StandIn(at_once=number)


def test_no_more_slots_than_jobs() -> None:
    assert len(StandIn(at_once=8).slots(3)) == 3
    assert len(StandIn(at_once=8).slots(None)) == 8


def be_a_job(folder: Path) -> int:
    """Be the process of a job whose environment is broken; return its exit code."""
    code = """
import sys
from pathlib import Path
from fiducial.sweeps.cluster import Mail, work
from fiducial.sweeps.job import Spec

sys.modules["fiducial.sweeps.worker"] = None
work(Spec(4, (), None, "", ""), Mail(Path("mail"), 4), Path("log"))
"""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode


def test_an_environment_that_cannot_run_anything_is_said(tmp_path: Path) -> None:
    assert be_a_job(tmp_path) == 0
    ending = Mail(tmp_path / "mail", 4).ending()
    assert ending is not None
    assert ending.state == "failed"
    assert "import of fiducial.sweeps.worker halted" in ending.message
    assert "Traceback" in (tmp_path / "log").read_text()


def test_a_job_that_begins_after_the_sweep_was_stopped_says_so_and_does_nothing(tmp_path: Path) -> None:
    Mail(tmp_path / "mail", 4).ask_to_stop()
    assert be_a_job(tmp_path) == 0
    assert Mail(tmp_path / "mail", 4).ending() == Ending(4, "stopped", message="stopped")
    assert Mail(tmp_path / "mail", 4).progress() is None
