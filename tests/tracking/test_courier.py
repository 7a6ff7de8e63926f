"""Runs that another process delivers, and runs that belong to one another."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from fiducial.tracking import Tracker, reconcile, track
from fiducial.tracking.courier import DELIVERED, Courier

reconciling = import_module("fiducial.tracking.reconcile")  # the package has a function of the same name


def log(out: Path, tracker: Tracker, *, name: str, parent: Path | None = None) -> None:
    with track(out, tracker, name=name, experiment="test", parent=parent) as run:
        run.log_metrics({"loss": 0.5}, 1)
        run.log_params({"name": name})


def in_mlflow(tracker: Tracker) -> dict[str, Run]:
    client = MlflowClient(tracker.uri)
    found = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert len(found) == len({run.info.run_name for run in found})
    return {run.info.run_name: run for run in found}


@pytest.mark.slow
def test_one_thread_delivers_what_others_log_and_nests_it(
    outputs: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = outputs / "top"
    with track(top, tracker, name="top", experiment="test") as run:
        run.start_delivery()
        monkeypatch.setenv(DELIVERED, run.id)
        courier = Courier(tracker, run.id)
        courier.start()
        for number in range(3):
            log(outputs / f"child {number}", tracker, name=f"child {number}", parent=top)
            assert not (outputs / f"child {number}" / "tracking" / "refused.jsonl").exists()
        courier.finish(60)
        monkeypatch.delenv(DELIVERED)
    runs = in_mlflow(tracker)
    assert set(runs) == {"top", "child 0", "child 1", "child 2"}
    for name, run in runs.items():
        assert run.info.status == "FINISHED"
        expected = None if name == "top" else runs["top"].info.run_id
        assert run.data.tags.get("mlflow.parentRunId") == expected
        if expected:
            assert run.data.metrics == {"loss": 0.5}
            assert run.data.params == {"name": name}
    assert list((outputs / "active").glob("*.json")) == []


DYING = """
import os, sys
from pathlib import Path
from fiducial.tracking import Tracker, track
outputs = Path(sys.argv[1])
tracker = Tracker(outputs=outputs, system_metrics_seconds=0)
with track(outputs / "child", tracker, name="child", experiment="test") as run:
    run.log_metrics({"loss": 0.5}, 1)
    run.flush()
    os._exit(9)
"""


@pytest.mark.parametrize("restarted", [False, True])
def test_a_run_that_died_has_its_true_status_while_the_others_go_on(
    outputs: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    monkeypatch.setenv(DELIVERED, "x")
    courier = Courier(tracker, "x", restarted=restarted)
    courier.start()
    subprocess.run([sys.executable, "-c", DYING, str(outputs)], check=False)
    expected = "RUNNING" if restarted else "FAILED"  # it may be started again; it is over
    deadline = time.monotonic() + 60
    while not is_in_mlflow(tracker, "child", expected):
        assert time.monotonic() < deadline, in_mlflow(tracker)
        time.sleep(0.05)
    assert len(list((outputs / "active").glob("*.json"))) == restarted
    courier.finish(60)
    assert in_mlflow(tracker)["child"].info.status == "FAILED"
    assert list((outputs / "active").glob("*.json")) == []


def is_in_mlflow(tracker: Tracker, name: str, status: str) -> bool:
    client = MlflowClient(tracker.uri)
    if client.get_experiment_by_name("test") is None:
        return False
    return name in (runs := in_mlflow(tracker)) and runs[name].info.status == status


def test_one_folder_that_cannot_be_looked_into_does_not_keep_the_others(
    outputs: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DELIVERED, "x")
    for name in ("foreign", "own"):
        log(outputs / name, tracker, name=name)
    conclude = reconciling._conclude

    def refuse(out: Path) -> bool:
        if out.name == "foreign":
            raise PermissionError(13, "Permission denied")
        return conclude(out)

    monkeypatch.setattr(reconciling, "_conclude", refuse)
    found = {one.out.name: (one.delivered, one.reason) for one in reconcile(outputs, tracker)}
    assert found == {"foreign": (False, "PermissionError: [Errno 13] Permission denied"), "own": (True, "")}
    assert set(in_mlflow(tracker)) == {"own"}


def test_a_child_of_a_run_that_was_deleted_in_mlflow_arrives(outputs: Path, tracker: Tracker) -> None:
    with track(outputs / "top", tracker, name="top", experiment="test"):
        pass
    client = MlflowClient(tracker.uri)
    client.delete_run(in_mlflow(tracker)["top"].info.run_id)
    log(outputs / "child", tracker, name="child", parent=outputs / "top")
    assert in_mlflow(tracker)["child"].info.status == "FINISHED"
    assert list((outputs / "active").glob("*.json")) == []


def test_a_child_that_is_delivered_first_makes_its_parent(outputs: Path, tracker: Tracker) -> None:
    with track(outputs / "top", tracker, name="top", experiment="test") as top:
        log(outputs / "child", tracker, name="child", parent=outputs / "top")
        runs = in_mlflow(tracker)
        assert runs["child"].data.tags["mlflow.parentRunId"] == runs["top"].info.run_id
        assert top.id == runs["top"].data.tags["fiducial.run"]
        assert runs["top"].info.status == "RUNNING"
    assert {run.info.status for run in in_mlflow(tracker).values()} == {"FINISHED"}


def test_without_a_courier_what_was_left_is_delivered_by_the_next_to_come(
    outputs: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DELIVERED, "x")
    log(outputs / "child", tracker, name="child")
    monkeypatch.delenv(DELIVERED)
    assert len(list((outputs / "active").glob("*.json"))) == 1
    assert [one.delivered for one in reconcile(outputs, tracker)] == [True]
    assert in_mlflow(tracker)["child"].info.status == "FINISHED"
