"""Sweeps through submitit and through Ray on this machine: a job that loses its process goes on as the same run."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

import forked

EPOCHS = 20
SMALL = [
    "hardware=cpu", "hardware.threads=1", "data.source.num_subjects=40", "data.source.size=[16,16]", "name=run",
    "data.source.images_per_subject=1", "data.batch_size=10", "model.widths=[4]", "model.dense=[8]",
    "tracking.system_metrics_seconds=0", f"epochs={EPOCHS}", "study=cluster", "objective=val/loss",
]  # fmt: skip

pytestmark = [pytest.mark.slow]


def needs(package: str, extra: str) -> pytest.MarkDecorator:
    missing = find_spec(package) is None and not os.environ.get("CI")
    return pytest.mark.skipif(missing, reason=f"needs pip install 'fiducial[{extra}]'")


def interrupted(folder: Path, number: signal.Signals, *arguments: str) -> None:
    """Run a sweep to its end, and send its run a signal as soon as that has two checkpoints."""
    command = [sys.executable, "-m", "fiducial", "train", "-m", *SMALL, *arguments]
    environment = os.environ | {"COLUMNS": "200"}
    with (folder / "printed").open("wb") as output:
        sweep = forked.Popen(command, cwd=folder, stdout=output, stderr=output, env=environment)
    deadline = time.monotonic() + 300
    while not (found := list(folder.glob("outputs/runs/*/*/checkpoints/previous.ckpt"))):
        assert sweep.poll() is None, (folder / "printed").read_text()
        assert time.monotonic() < deadline, "no run began"
        time.sleep(0.05)
    os.kill(int((found[0].parents[1] / "tracking" / "lock").read_text()), number)
    assert sweep.wait(timeout=300) == 0, (folder / "printed").read_text()


def query(folder: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "outputs" / "mlflow.db")) as database:
        return database.execute(sql).fetchall()


def assert_complete(folder: Path) -> None:
    """Assert that there is one run, finished, nested in the sweep's, with each epoch once."""
    (out,) = folder.glob("outputs/runs/*/*")
    assert (out / "scores.json").is_file()
    child = "select status, name from runs join tags using (run_uuid) where key = 'mlflow.parentRunId'"
    assert [status for status, _ in query(folder, child)] == ["FINISHED"]
    assert query(folder, "select count(*) from runs") == [(2,)]
    points = "select count(*), count(distinct step) from metrics where key = 'val/loss' group by run_uuid"
    assert query(folder, points) == [(EPOCHS, EPOCHS)]


def states(folder: Path) -> list[str]:
    """Return what the run was, one after the other, since it began."""
    (journal,) = folder.glob("outputs/runs/*/*/tracking/journal.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    return [event["status"] for event in events if event["event"] == "status"]


@needs("hydra_plugins.hydra_submitit_launcher", "slurm")
def test_a_preempted_job_is_put_into_the_queue_again_and_goes_on(tmp_path: Path) -> None:
    interrupted(tmp_path, signal.SIGUSR2, "launcher=submitit_local", "seed=0")
    assert_complete(tmp_path)
    (log,) = tmp_path.glob("outputs/sweeps/*/logs/0.log")
    assert "this job is preempted" in log.read_text()
    assert states(tmp_path) == ["KILLED", "RUNNING", "FINISHED"]


@needs("ray", "ray")
def test_a_job_whose_process_is_lost_goes_on_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address Ray is started on this machine, whatever cluster the environment names."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    interrupted(tmp_path, signal.SIGKILL, "launcher=ray", "seed=0")
    assert_complete(tmp_path)
    assert states(tmp_path) == ["RUNNING", "FINISHED"]
