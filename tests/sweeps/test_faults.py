"""Sweeps as a user has them: a command, jobs that end in every bad way, and the same command again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest

import forked
from fiducial.tracking.tracker import DATABASE
from tracking.mlflow_stub import MlflowStub

pytestmark = pytest.mark.slow

SMALL = [
    "data.source.num_subjects=60", "data.source.size=[16,16]", "data.batch_size=4", "model.widths=[4]", "epochs=2",
    "hardware=cpu", "tracking.system_metrics_seconds=0", "tracking.flush_seconds=0.3", "name=run", "study=faults",
]  # fmt: skip


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fiducial", "train", "-m", *SMALL, *arguments]


def finish(folder: Path, *arguments: str, code: int) -> str:
    """Run a sweep to its end; return all that it printed."""
    done = forked.run(
        command(*arguments),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def place(tmp_path: Path, empty_database: Path) -> Path:
    """Return a folder whose embedded store is there already: making one takes seconds."""
    (tmp_path / "outputs").mkdir()
    shutil.copy(empty_database, tmp_path / "outputs" / DATABASE)
    return tmp_path


def query(folder: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "outputs" / "mlflow.db")) as database:
        return database.execute(sql).fetchall()


def statuses(folder: Path) -> dict[str, str]:
    """Return each run's status in MLflow by its name."""
    rows = query(folder, "SELECT name, status FROM runs WHERE lifecycle_stage = 'active'")
    assert len(rows) == len(dict(rows)), "a run is there twice"
    return dict(rows)


def children(folder: Path) -> set[str]:
    """Return the names of the runs nested in the one run that has no parent."""
    parent = "SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'"
    (top,) = {value for _, value in query(folder, parent)}
    assert not [run for run, _ in query(folder, parent) if run == top]
    named = "SELECT name FROM runs JOIN tags USING (run_uuid) WHERE tags.key = 'mlflow.parentRunId'"
    return {name for (name,) in query(folder, named)}


def wait_until(condition: Callable[[], bool], seconds: float = 300, pause: float = 0.05) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(pause)


def misbehaving(folder: Path) -> list[str]:
    """Put a loss that misbehaves into a folder, as an option; return what picks it."""
    shutil.copy(Path(__file__).with_name("misbehave.py"), folder)
    (folder / "mine" / "loss").mkdir(parents=True)
    option = "_target_: misbehave.Misbehave\ncontract: {head: softmax}\n"
    (folder / "mine" / "loss" / "misbehave.yaml").write_text(option)
    return ["--config-dir", "mine", "loss=misbehave"]


def test_a_job_that_ends_badly_costs_that_job_alone(place: Path) -> None:
    sweep = [*misbehaving(place), "loss.how=hang,raise,exit,kill,fine,end"]
    said = finish(place, *sweep, "launcher.silent_minutes=0.5", code=1)
    assert "4 of 6 runs failed and 1 of 6 runs stopped from outside" in said
    for reason in ("hung: no step", "RuntimeError: the loss is", "exited with code 3", "SIGKILL"):
        assert reason in said
    told = statuses(place)
    assert {name: told[f"how={name}"] for name in ("hang", "raise", "exit", "kill", "fine", "end")} == {
        "hang": "KILLED", "raise": "FAILED", "exit": "FAILED", "kill": "FAILED", "fine": "FINISHED", "end": "KILLED",
    }  # fmt: skip
    assert told["how"] == "FAILED"
    assert children(place) == set(told) - {"how"}
    fine = next((place / "outputs" / "sweeps").glob("*/logs/4.log")).read_text()

    (place / "mended").touch()
    said = finish(place, *sweep, code=0)
    assert len(re.findall(r"started", said)) == 5
    assert "how=fine" not in "".join(re.findall(r"started.*", said))
    assert set(statuses(place).values()) == {"FINISHED"}
    assert len(statuses(place)) == 7
    assert next((place / "outputs" / "sweeps").glob("*/logs/4.log")).read_text() == fine


def test_killed_and_interrupted_sweeps_go_on_and_lose_nothing(tmp_path: Path) -> None:
    """From a fresh folder; the interrupted one in a fresh process, as a user has it."""
    sweep = ["seed=0,1,2", "epochs=12"]
    runs = tmp_path / "outputs" / "runs" / "run"

    def checkpoints() -> int:
        return len(list(runs.glob("*/checkpoints/last.ckpt")))

    killed = forked.Popen(command(*sweep), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: checkpoints() >= 2)
    killed.kill()
    killed.wait()
    wait_until(lambda: not alive(runs))

    stopped = subprocess.Popen(
        command(*sweep), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert stopped.stdout is not None
    while "started" not in stopped.stdout.readline():
        pass
    time.sleep(1)
    stopped.send_signal(signal.SIGINT)
    rest = stopped.communicate(timeout=300)[0]
    assert stopped.returncode == 130
    assert re.search(r"of \d runs are left: \d interrupted, \d not begun; the same command goes on", rest)
    assert not alive(runs)
    told = statuses(tmp_path)
    assert told["3 seeds"] == "KILLED"
    assert set(told.values()) <= {"KILLED", "FINISHED"}

    finish(tmp_path, *sweep, code=0)
    assert statuses(tmp_path) == dict.fromkeys(["3 seeds", "seed=0", "seed=1", "seed=2"], "FINISHED")
    steps = query(tmp_path, "SELECT run_uuid, step FROM metrics WHERE key = 'val/loss'")
    assert Counter(Counter(run for run, _ in steps).values()) == {12: 3}
    assert len(set(steps)) == 36


def test_killed_in_the_middle_of_a_write_into_the_database_it_goes_on(place: Path) -> None:
    """The process that leads a sweep writes for all of its runs; SQLite finds what it left half done."""
    sweep = ["seed=0,1", "epochs=4"]
    runs = place / "outputs" / "runs" / "run"
    rollback = place / "outputs" / f"{DATABASE}-journal"
    killed = forked.Popen(command(*sweep), cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def is_writing() -> bool:
        if not rollback.exists():
            return False
        killed.send_signal(signal.SIGSTOP)
        if not rollback.exists():
            killed.send_signal(signal.SIGCONT)
        return rollback.exists()

    wait_until(lambda: any(runs.glob("*/checkpoints/last.ckpt")))
    wait_until(is_writing, pause=0.0002)
    killed.kill()
    killed.wait()
    assert rollback.exists(), "half of a transaction"
    wait_until(lambda: not alive(runs))

    finish(place, *sweep, code=0)
    assert statuses(place) == dict.fromkeys(["2 seeds", "seed=0", "seed=1"], "FINISHED")
    assert children(place) == {"seed=0", "seed=1"}
    steps = query(place, "SELECT run_uuid, step FROM metrics WHERE key = 'val/loss'")
    assert Counter(Counter(run for run, _ in steps).values()) == {4: 2}
    assert len(set(steps)) == 8


def test_a_killed_worker_of_a_search_is_tried_again_and_counts_once(place: Path) -> None:
    search = [*misbehaving(place), "search=grid", "search.study=fates", "loss.how=kill,fine"]
    said = finish(place, *search, code=1)
    assert "1 of 2 runs failed" in said
    assert "SIGKILL" in said
    assert statuses(place) == {"grid: how": "FAILED", "how=kill": "FAILED", "how=fine": "FINISHED"}

    (place / "mended").touch()
    assert len(re.findall("started", finish(place, *search, code=0))) == 1
    assert statuses(place) == dict.fromkeys(["grid: how", "how=kill", "how=fine"], "FINISHED")
    assert children(place) == {"how=kill", "how=fine"}
    runs = set((place / "outputs" / "runs" / "run").iterdir())
    assert len(runs) == 2
    study = optuna.load_study(study_name="fates", storage=f"sqlite:///{place}/outputs/sweeps/search.db")
    complete = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert {place / "outputs" / trial.user_attrs["folder"] for trial in complete} == runs
    assert len(complete) == 2


def alive(runs: Path) -> bool:
    """Tell whether a process still has one of the runs in its hands."""
    from fiducial.tracking.liveness import is_alive

    return any(is_alive(run) for run in runs.glob("*"))


def test_a_server_that_is_down_costs_nothing_and_gets_it_all_later(tmp_path: Path) -> None:
    server = MlflowStub(tmp_path / "artifacts")
    server.start()
    server.stop()  # its port is known, and nobody answers there
    sweep = ["tracking=server", f"tracking.uri={server.uri}", "tracking.patience_seconds=1", "seed=0,1"]
    finish(tmp_path, *sweep, code=0)
    assert len(list((tmp_path / "outputs" / "runs").glob("*/*/scores.json"))) == 2
    assert not (tmp_path / "outputs" / "mlflow.db").exists()
    unsettled = tmp_path / "outputs" / "active"
    assert len(list(unsettled.glob("*.json"))) == 3
    said = finish(tmp_path, *sweep, code=0)
    assert "nothing to run" in said
    assert re.search(r"not yet whole in the tracking store: 3 runs \(.*refused.*\)", said)
    server.start()
    said = finish(tmp_path, *sweep, code=0)
    server.stop()
    assert "now whole in the tracking store: 3 runs" in said
    assert not list(unsettled.glob("*.json"))
    assert {run["name"]: run["status"] for run in server.runs.values()} == dict.fromkeys(
        ["2 seeds", "seed=0", "seed=1"], "FINISHED"
    )
    assert len(server.runs) == 3
    (top,) = {parent for run in server.runs.values() if (parent := run["tags"].get("mlflow.parentRunId"))}
    assert server.runs[top]["name"] == "2 seeds"


FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, resource.RLIM_INFINITY))
from fiducial.cli import main
main()
"""


def test_a_full_disk_costs_what_could_not_be_written_and_nothing_twice(tmp_path: Path) -> None:
    full = forked.run(
        [sys.executable, "-c", FULL, *command("seed=0,1", "tracking.patience_seconds=2")[3:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # Python would keep its own files, cut off
    )
    assert full.returncode == 1, full.stdout + full.stderr
    assert "2 of 2 runs failed" in full.stderr
    assert "could not be written" in full.stderr
    finish(tmp_path, "seed=0,1", code=0)
    assert statuses(tmp_path) == dict.fromkeys(["2 seeds", "seed=0", "seed=1"], "FINISHED")
    assert len(list((tmp_path / "outputs" / "runs").glob("*/*"))) == 2
