"""Runs that are given another name and parent after they have begun."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from fiducial.errors import InputError
from fiducial.tracking import Tracker, reconcile, track
from fiducial.tracking.journal import History
from fiducial.tracking.liveness import LockHeldError, alive
from fiducial.tracking.nesting import nest

reconciling = import_module("fiducial.tracking.reconcile")  # the package has a function of the same name


def log(out: Path, tracker: Tracker, parent: Path | None = None) -> None:
    with track(out, tracker, name=out.name, experiment="test", parent=parent) as run:
        run.log_metrics({"loss": 0.5}, 1)


def in_mlflow(tracker: Tracker) -> dict[str, Run]:
    client = MlflowClient(tracker.uri)
    found = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert len(found) == len({run.info.run_name for run in found})
    return {run.info.run_name: run for run in found}


@pytest.fixture
def family(outputs: Path, tracker: Tracker) -> Path:
    """Return a folder with the runs `old`, its child, and `new`, all of which have ended and arrived."""
    log(outputs / "old", tracker)
    log(outputs / "child", tracker, outputs / "old")
    log(outputs / "new", tracker)
    return outputs


def active(outputs: Path) -> list[Path]:
    return list((outputs / "active").glob("*.json"))


def test_a_run_that_is_over_gets_another_name_and_parent(family: Path, tracker: Tracker) -> None:
    before = in_mlflow(tracker)
    nest(family / "child", tracker, name="seed=0", parent=family / "new")
    history = History.of(family / "child" / "tracking" / "journal.jsonl")
    assert (history.name, history.parent, history.status) == ("seed=0", "../new", "FINISHED")
    assert [one.delivered for one in reconcile(family, tracker)] == [True]
    assert active(family) == []
    after = in_mlflow(tracker)
    assert set(after) == {"old", "new", "seed=0"}
    run = after["seed=0"]
    assert run.info.run_id == before["child"].info.run_id
    assert run.data.tags["mlflow.parentRunId"] == before["new"].info.run_id
    assert (run.info.status, run.info.end_time) == ("FINISHED", before["child"].info.end_time)
    with track(family / "child", tracker, name="child", experiment="test", resume=True):
        pass
    assert set(in_mlflow(tracker)) == set(after)  # it goes on as what it is called by now


def test_a_run_that_a_process_has_or_that_is_none_is_left_alone(family: Path, tracker: Tracker) -> None:
    with alive(family / "child"), pytest.raises(LockHeldError):
        nest(family / "child", tracker, name="seed=0", parent=family / "new")
    with pytest.raises(InputError, match="expected a folder with a run"):
        nest(family / "nothing", tracker, name="seed=0", parent=family / "new")
    assert active(family) == []


def test_a_parent_whose_folder_is_gone_holds_nothing_up(
    family: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    nest(family / "child", tracker, name="seed=0", parent=family / "new")
    monkeypatch.setenv("FIDUCIAL_DELIVERED", "x")
    log(family / "orphan", tracker, family / "new")
    shutil.rmtree(family / "new")
    assert [one.reason for one in reconcile(family, tracker)] == ["", ""]
    runs = in_mlflow(tracker)
    assert runs["seed=0"].data.tags["mlflow.parentRunId"] == runs["old"].info.run_id
    assert "mlflow.parentRunId" not in runs["orphan"].data.tags


def test_a_run_that_was_never_delivered_arrives_where_it_is_by_now(
    outputs: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIDUCIAL_DELIVERED", "x")
    log(outputs / "old", replace(tracker, uri=None))
    log(outputs / "child", tracker, outputs / "old")
    log(outputs / "new", tracker)
    nest(outputs / "child", tracker, name="seed=0", parent=outputs / "new")
    reconcile(outputs, tracker)
    assert set(in_mlflow(tracker)) == {"seed=0", "new"}  # and not `old`, of which nothing is sent


def test_what_changes_while_the_rest_is_delivered_arrives(
    family: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = reconciling._deliver

    def meanwhile(*given: object) -> str:
        reason: str = deliver(*given)
        monkeypatch.setattr(reconciling, "_deliver", deliver)
        nest(family / "child", tracker, name="again", parent=family / "new")
        return reason

    nest(family / "child", tracker, name="seed=0", parent=family / "new")
    monkeypatch.setattr(reconciling, "_deliver", meanwhile)
    reconcile(family, tracker)
    assert len(active(family)) == 1
    reconcile(family, tracker)
    assert active(family) == []
    assert "again" in in_mlflow(tracker)
