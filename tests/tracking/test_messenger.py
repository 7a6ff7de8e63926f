"""Delivery by a process of its own: MLflow is not in the training's, and each of the two may die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from mlflow import MlflowClient

from fiducial.tracking import Tracker, prepare_delivery, reconcile, track
from fiducial.tracking.courier import DELIVERED
from fiducial.tracking.liveness import LockHeldError, locked

TRAINING = """
import json, os, sys, time
from pathlib import Path
from fiducial.tracking import Tracker, track
outputs, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
tracker = Tracker(outputs=outputs, flush_seconds=0.1, system_metrics_seconds=0, **settings)
with track(outputs / "a", tracker, name="a", experiment="test") as run:
    run.start_delivery()
    run.log_params({"lr": 0.1})
    step = 0
    while not (outputs / "stop").exists():
        run.log_metrics({"loss": step + 0.5}, step)
        step += 1
        time.sleep(0.01)
    run.log_text("note", "note.txt")
assert "mlflow" not in sys.modules
print(step)
"""


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def is_free(lock: Path) -> bool:
    try:
        with locked(lock):
            return True
    except LockHeldError:
        return False


class Training:
    """A process that logs until it is told to stop."""

    def __init__(self, outputs: Path, **settings: object) -> None:
        self.outputs = outputs
        command = [sys.executable, "-c", TRAINING, str(outputs), json.dumps(settings)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    @property
    def messengers(self) -> list[psutil.Process]:
        return [one for one in psutil.Process(self.process.pid).children() if "messenger" in " ".join(one.cmdline())]

    @property
    def sent(self) -> int:
        receipt = self.outputs / "a" / "tracking" / "delivered.json"
        return int(json.loads(receipt.read_text())["offset"]) if receipt.exists() else 0

    def stop(self) -> tuple[int, str]:
        """Have it end; return how many steps it logged, and what it said."""
        (self.outputs / "stop").touch()
        out, said = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, said
        return int(out), said


@pytest.fixture
def start(outputs: Path) -> Iterator[Callable[..., Training]]:
    started = []

    def begin(**settings: object) -> Training:
        started.append(Training(outputs, **settings))
        return started[-1]

    yield begin
    for training in started:
        with training.process:  # closes the pipes and waits
            if training.process.poll() is None:
                os.killpg(training.process.pid, signal.SIGKILL)


def arrived(outputs: Path, steps: int) -> None:
    client = MlflowClient(Tracker(outputs=outputs).uri)
    experiment = client.get_experiment_by_name("test")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(step, step + 0.5) for step in range(steps)]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1"}
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["note.txt"]


@pytest.mark.slow
def test_everything_arrives_and_the_process_is_gone(start: Callable[..., Training], outputs: Path) -> None:
    training = start()
    until(lambda: training.sent > 0)
    (messenger,) = training.messengers
    steps, said = training.stop()
    assert said == ""
    until(lambda: not messenger.is_running(), 10)
    arrived(outputs, steps)
    assert list((outputs / "active").iterdir()) == []


@pytest.mark.slow
def test_it_dies_with_the_training(start: Callable[..., Training], outputs: Path) -> None:
    training = start()
    until(lambda: training.sent > 0)
    (messenger,) = training.messengers
    training.process.kill()
    until(lambda: not messenger.is_running() or messenger.status() == psutil.STATUS_ZOMBIE, 10)
    until(lambda: is_free(outputs / "a" / "tracking" / "delivery.lock"), 10)  # the last of its threads is gone
    assert [(one.died, one.delivered, one.reason) for one in reconcile(outputs)] == [(True, True, "")]


@pytest.mark.slow
def test_a_training_whose_messenger_was_killed_goes_on_and_says_so(
    start: Callable[..., Training], outputs: Path
) -> None:
    training = start()
    until(lambda: training.messengers)
    training.messengers[0].kill()
    until(lambda: is_free(outputs / "a" / "tracking" / "delivery.lock"), 10)
    steps, said = training.stop()
    assert "the process that delivers it ended with -9" in said
    assert "delivered by the next run" in said
    assert [(one.died, one.delivered) for one in reconcile(outputs)] == [(False, True)]
    arrived(outputs, steps)


@pytest.mark.slow
def test_ctrl_c_reaches_the_training_alone_and_a_second_one_ends_the_waiting(
    start: Callable[..., Training], outputs: Path
) -> None:
    training = start(uri="http://me:hunter2@127.0.0.1:9", patience_seconds=300)  # nobody answers there
    until(lambda: training.messengers)
    assert "hunter2" not in " ".join(training.messengers[0].cmdline())
    time.sleep(5)
    os.killpg(training.process.pid, signal.SIGINT)  # as a terminal does
    time.sleep(2)
    assert training.process.poll() is None, "patient"
    assert training.messengers
    os.killpg(training.process.pid, signal.SIGINT)
    _, said = training.process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert "delivered by the next run" in said
    assert "hunter2" not in said
    journal = (outputs / "a" / "tracking" / "journal.jsonl").read_text().splitlines()
    assert json.loads(journal[-1])["status"] == "KILLED"


SUMMONED = """
import sys, time
from pathlib import Path
import psutil
from fiducial.tracking import Tracker, prepare_delivery, track
settings = {"flush_seconds": 0.1, "system_metrics_seconds": 0, "patience_seconds": float(sys.argv[3])}
tracker = Tracker(outputs=Path(sys.argv[1]), **settings)
prepare_delivery(tracker)
print([child.pid for child in psutil.Process().children()])
deadline = time.monotonic() + 120
while sys.argv[2] == "wait" and not (tracker.outputs / "mlflow.db").exists():
    assert time.monotonic() < deadline, "no database was made"
    time.sleep(0.05)
for name in sys.argv[4]:
    with track(tracker.outputs / name, tracker, name=name, experiment="test") as run:
        run.start_delivery()
        run.log_metrics({"loss": 0.5}, 0)
        print([child.pid for child in psutil.Process().children()])
"""


@pytest.mark.slow
@pytest.mark.parametrize("pace", ["wait", "at once"])  # the store is open when the run begins; it is being opened
def test_one_that_was_summoned_has_made_the_database_and_takes_the_runs(tmp_path: Path, pace: str) -> None:
    """One after the other, and ends with the process that has them."""
    command = [sys.executable, "-W", "error", "-c", SUMMONED, str(tmp_path / "outputs"), pace, "20", "ab"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    assert done.stderr == ""
    summoned, delivering, again = map(json.loads, done.stdout.splitlines())
    assert len(summoned) == 1
    assert summoned == delivering == again
    assert not psutil.pid_exists(summoned[0])
    client = MlflowClient(Tracker(outputs=tmp_path / "outputs").uri)
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    found = sorted((run.info.run_name, run.info.status, run.data.metrics["loss"]) for run in runs)
    assert found == [("a", "FINISHED", 0.5), ("b", "FINISHED", 0.5)]


@pytest.mark.slow
def test_a_store_that_cannot_be_opened_ahead_is_reported_by_the_run(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "mlflow.db").write_text("no database, but long enough to be read as one of them" * 20)
    command = [sys.executable, "-W", "error", "-c", SUMMONED, str(outputs), "at once", "2", "a"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    begins, ends = done.stderr.splitlines()
    for line in (begins, ends):
        assert "file is not a database. Move the file away" in line
    assert "the store does not take it" in begins
    assert "delivered by the next run" in ends


def test_a_process_that_sends_nothing_summons_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **_: started.append(given))
    prepare_delivery(Tracker(outputs=tmp_path))  # MLflow is imported in this process: a thread of it will deliver
    monkeypatch.setattr("fiducial.tracking.run.sys", SimpleNamespace(modules={}))
    prepare_delivery(Tracker(outputs=tmp_path, uri=None))
    monkeypatch.setenv(DELIVERED, "of a sweep")
    prepare_delivery(Tracker(outputs=tmp_path))
    assert started == []


def test_a_training_that_can_start_no_process_goes_on_and_says_so(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr("fiducial.tracking.run.sys", SimpleNamespace(modules={}))  # MLflow is not imported
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.start_delivery()
        run.log_metrics({"loss": 1.0}, 0)
    assert "the process that delivers it did not start" in caplog.text
    assert [one.delivered for one in reconcile(tracker.outputs)] == [True]
