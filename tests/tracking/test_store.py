import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fiducial.errors import InputError
from fiducial.tracking import Tracker, store, track

JOB = """
import sys, time
from pathlib import Path
from fiducial.tracking import Tracker, track
outputs, number = Path(sys.argv[1]), int(sys.argv[2])
tracker = Tracker(outputs=outputs, flush_seconds=0.1, system_metrics_seconds=0)
with track(outputs / f"run{number}", tracker, name=f"run{number}", experiment="race") as run:
    run.start_delivery()
    run.log_params({"number": number})
    for step in range(300):
        run.log_metrics({"loss": number + step}, step)
        time.sleep(0.001)
    run.log_text(str(number), "number.txt")
"""


@pytest.mark.slow
def test_processes_that_start_at_once_in_a_fresh_folder_lose_nothing(tmp_path):
    outputs = tmp_path / "fresh"
    jobs = [
        subprocess.Popen([sys.executable, "-c", JOB, str(outputs), str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(8)
    ]
    errors = [job.communicate(timeout=300)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 8, errors
    client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("race").experiment_id])
    assert sorted(run.data.params["number"] for run in runs) == [str(number) for number in range(8)]
    for run in runs:
        number = int(run.data.params["number"])
        history = client.get_metric_history(run.info.run_id, "loss")
        assert sorted((point.step, point.value) for point in history) == [(s, number + s) for s in range(300)]
        assert run.info.status == "FINISHED"
        assert Path(client.download_artifacts(run.info.run_id, "number.txt")).read_text() == str(number)
    assert list((outputs / "active").iterdir()) == []


HALF = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("pragma cache_size = 1")  # so that it reaches the file before it is committed
database.execute("update experiments set name = 'half'")
rows = [(f"half {number}" * 500, "active") for number in range(200)]
database.executemany("insert into experiments (name, lifecycle_stage) values (?, ?)", rows)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("opened", [store.connect, store.health])
def test_what_a_killed_process_left_half_done_is_taken_back(tracker, opened):
    path = store.database(tracker.uri)
    subprocess.run([sys.executable, "-c", HALF, str(path)])
    assert path.with_name(f"{path.name}-journal").stat().st_size > 0
    with (
        pytest.raises(sqlite3.OperationalError, match="readonly"),
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection,
    ):
        connection.execute("select name from experiments").fetchall()
    opened(tracker.uri)
    assert [experiment.name for experiment in MlflowClient(tracker.uri).search_experiments()] == ["Default"]
    assert levels(tracker.uri)["database"] == "ok"


def levels(uri):
    return {finding.subject: finding.level for finding in store.health(uri)}


def test_a_healthy_store(tracker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert levels(tracker.uri) == {"database": "ok", "size": "ok", "schema": "ok", "running": "ok"}


def test_a_store_that_does_not_exist_yet(tmp_path):
    uri = Tracker(outputs=tmp_path).uri
    assert levels(uri)["database"] == "ok"
    assert not (tmp_path / "mlflow.db").exists()


def test_running_runs_are_counted(tracker):
    client = store.connect(tracker.uri)
    client.create_run("0")
    client.create_run("0")
    messages = {finding.subject: finding.message for finding in store.health(tracker.uri)}
    assert messages["running"] == "2 runs have the status RUNNING"


def test_an_old_folder_store_in_the_working_folder(tracker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns").mkdir()
    assert levels(tracker.uri)["./mlruns"] == "warning"


def test_a_schema_of_another_version(tracker):
    with sqlite3.connect(tracker.outputs / "mlflow.db") as connection:
        connection.execute("update alembic_version set version_num='0123456789ab'")
    connection.close()
    findings = {finding.subject: finding for finding in store.health(tracker.uri)}
    assert findings["schema"].level == "error"
    assert "mlflow db upgrade" in findings["schema"].message


@pytest.mark.parametrize("damage", ["text", "truncated", "other database"])
def test_a_broken_database(tracker, damage):
    path = tracker.outputs / "mlflow.db"
    if damage == "text":
        path.write_text("not a database, but long enough to have a header" * 100)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.unlink()
        connection = sqlite3.connect(path)
        connection.execute("create table other (a)")
        connection.close()
    assert levels(tracker.uri)["database"] == "error"
    with pytest.raises(InputError, match="Move the file away"):
        store.connect(tracker.uri)


def test_a_run_outlives_a_broken_database_and_is_delivered_into_a_new_one(tmp_path, empty_database, caplog):
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "mlflow.db").write_text("x" * 5000)
    tracker = Tracker(outputs=outputs, flush_seconds=0.05, patience_seconds=0.2, system_metrics_seconds=0)
    with track(outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_metrics({"loss": 1}, 0)
    assert "delivered by the next run" in caplog.text
    assert len(list((outputs / "active").iterdir())) == 1
    shutil.copy(empty_database, outputs / "mlflow.db")
    with track(outputs / "b", tracker, name="b", experiment="test") as run:
        run.log_metrics({"loss": 2}, 0)
    client = MlflowClient(tracker.uri)
    runs = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert {run.info.run_name: run.data.metrics["loss"] for run in runs} == {"a": 1, "b": 2}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert list((outputs / "active").iterdir()) == []


def test_a_deleted_experiment_is_restored(tracker, caplog):
    client = store.connect(tracker.uri)
    made = store.experiment_id(client, tracker.uri, "test")
    client.delete_experiment(made)
    assert store.experiment_id(client, tracker.uri, "test") == made
    assert client.get_experiment(made).lifecycle_stage == "active"
    assert "had been deleted" in caplog.text


def test_artifacts_of_any_experiment_lie_in_the_outputs_folder(tracker):
    client = store.connect(tracker.uri)
    other = store.experiment_id(client, tracker.uri, "a/b c")
    assert client.get_experiment(other).artifact_location == f"file://{tracker.outputs}/artifacts/a_b_c"


def test_a_server_that_does_not_answer():
    finding = store.health("http://me:hunter2@127.0.0.1:9")[0]
    assert finding.level == "error"
    assert "does not answer" in finding.message
    assert "hunter2" not in finding.message


def test_telemetry_is_off():
    import os

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_database_that_a_stopped_process_holds_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with store.store_lock(uri), pytest.raises(OSError, match="in use by another process"), store.store_lock(uri):
        pass
    with store.store_lock(uri):
        pass
