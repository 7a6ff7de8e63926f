"""A server that is down, goes down, hangs, fails or is slow: training does not notice, all arrives."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest
from mlflow import MlflowClient

from fiducial.tracking import Tracker, reconcile, track
from fiducial.tracking.nesting import nest

_spec = importlib.util.spec_from_file_location("mlflow_stub", Path(__file__).with_name("mlflow_stub.py"))
_module = importlib.util.module_from_spec(_spec)
sys.modules["mlflow_stub"] = _module
_spec.loader.exec_module(_module)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch):
    """Let each tracker set MLflow's time limits, and take them away after the test."""
    for key in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.setenv(key, "")
        monkeypatch.delenv(key)


@pytest.fixture
def stub(tmp_path):
    server = _module.MlflowStub(tmp_path / "artifacts")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def tracker(tmp_path, stub):
    return Tracker(
        outputs=tmp_path / "outputs", uri=stub.uri, flush_seconds=0.05, patience_seconds=0.5,
        system_metrics_seconds=0, request_seconds=1,
    )  # fmt: skip


def train(run, steps=range(1500)):
    """Log as training does; return the mean seconds of a call."""
    run.log_params({"lr": 0.1})
    begin = time.perf_counter()
    for step in steps:
        run.log_metrics({"loss": step + 0.5}, step)
    return (time.perf_counter() - begin) / len(steps)


def arrived(stub, steps=range(1500)):
    """Return the only run that lives on the server, after checking its content."""
    (run,) = [run for run in stub.runs.values() if run["stage"] == "active"]
    loss = sorted((step, value) for key, _, step, value in run["points"] if key == "loss")
    assert loss == [(step, step + 0.5) for step in steps]
    assert run["params"] == {"lr": "0.1"}
    return run


def wait_for(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_server_in_good_health(tracker, stub):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.start_delivery()
        train(run)
        run.log_text("x", "x.txt")
        wait_for(lambda: any(len(one["points"]) == 1500 for one in stub.runs.values()))
    found = arrived(stub)
    assert found["status"] == "FINISHED"
    assert found["tags"]["fiducial.run"] == run.id
    assert list((tracker.outputs / "active").iterdir()) == []


def test_files_wait_for_a_store_that_takes_none_for_now(tracker, stub, monkeypatch, caplog):
    """The server answers, its disk is full: all else arrives, and the files once there is room."""
    taken = MlflowClient.log_artifact

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_artifact", full)
    patient = replace(tracker, patience_seconds=15)
    with track(tracker.outputs / "a", patient, name="a", experiment="test") as run:
        run.start_delivery(apart=False)
        for name in ("one.txt", "two.txt"):
            run.log_text(name, name)
        train(run)
    (found,) = stub.runs.values()
    assert found["status"] == "FINISHED"
    assert len(found["points"]) == 1500
    assert not (run.out / "tracking" / "refused.jsonl").exists()
    (left,) = reconcile(tracker.outputs)
    assert not left.delivered
    assert "2 files could not be stored: [Errno 28] No space left on device" in left.reason
    monkeypatch.setattr(MlflowClient, "log_artifact", taken)
    assert [one.delivered for one in reconcile(tracker.outputs)] == [True]
    assert sorted(path.name for path in stub._artifacts.glob("*/*.txt")) == ["one.txt", "two.txt"]
    assert reconcile(tracker.outputs) == []


def test_a_store_that_hangs_is_waited_for_once(tracker, stub, tmp_path):
    stub.delay = 30
    for name in "abc":
        with track(tracker.outputs / name, replace(tracker, patience_seconds=0), name=name, experiment="test"):
            pass
    begin = time.monotonic()
    left = reconcile(tracker.outputs, tracker)
    assert [one.delivered for one in left] == [False] * 3
    assert len({one.reason for one in left}) == 1
    assert time.monotonic() - begin < 25  # each time-out is of one try or more


def test_down_from_the_start_and_back_later(tracker, stub, caplog):
    stub.stop()
    begin = time.monotonic()
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.start_delivery()
        assert train(run) < 1e-3
        run.log_text("x", "x.txt")
    assert time.monotonic() - begin < 10
    last = [record.getMessage() for record in caplog.records][-1]
    assert "delivered by the next run" in last
    assert "\n" not in last
    first = reconcile(tracker.outputs)
    assert [(one.died, one.delivered) for one in first] == [(False, False)]
    assert "refused" in first[0].reason
    stub.start()
    patient = replace(tracker, patience_seconds=90)
    with track(tracker.outputs / "b", patient, name="b", experiment="other") as run:
        train(run)
    names = sorted(run["name"] for run in stub.runs.values())
    assert names == ["a", "b"]
    stub.runs = {key: run for key, run in stub.runs.items() if run["name"] == "a"}
    assert arrived(stub)["status"] == "FINISHED"
    assert reconcile(tracker.outputs) == []


def test_stopped_in_the_middle_and_back_while_training(tracker, stub, caplog):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.start_delivery()
        train(run, range(500))
        wait_for(lambda: any(one["points"] for one in stub.runs.values()))
        stub.stop()
        train(run, range(500, 1000))
        wait_for(lambda: "does not take it" in caplog.text)
        stub.start()
        train(run, range(1000, 1500))
        wait_for(lambda: any(len(one["points"]) == 1500 for one in stub.runs.values()))
    assert arrived(stub)["status"] == "FINISHED"
    assert "takes what it is given again" in caplog.text


@pytest.mark.parametrize("trouble", ["hangs", "fails"])
def test_a_server_that_answers_nothing_useful(tracker, stub, trouble):
    stub.delay, stub.broken = (30.0, False) if trouble == "hangs" else (0.0, True)
    begin = time.monotonic()
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.start_delivery()
        wait_for(lambda: stub.requests > 0)
        assert train(run) < 1e-3
    assert time.monotonic() - begin < 10
    stub.delay, stub.broken = 0.0, False
    assert [one.delivered for one in reconcile(tracker.outputs)] == [True]
    assert arrived(stub)["status"] == "FINISHED"


def test_a_slow_server(tracker, stub):
    stub.delay = 0.3
    patient = Tracker(outputs=tracker.outputs, uri=stub.uri, flush_seconds=0.05, system_metrics_seconds=0)
    with track(tracker.outputs / "a", patient, name="a", experiment="test") as run:
        run.start_delivery()
        assert train(run) < 1e-3
    assert arrived(stub)["status"] == "FINISHED"


def test_a_run_that_was_made_though_its_request_timed_out_is_made_once(tracker, stub):
    stub.late_creations = 1
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.start_delivery()
        train(run)
        wait_for(lambda: len(stub.runs) == 2 and any(one["points"] for one in stub.runs.values()))
    wait_for(lambda: [one["status"] for one in stub.runs.values() if one["points"]] == ["FINISHED"])
    arrived(stub)
    assert sorted(one["stage"] for one in stub.runs.values()) == ["active", "deleted"]


def test_credentials_stay_in_the_process(tracker, stub, caplog):
    uri = stub.uri.replace("http://", "http://me:hunter2@")
    secret = Tracker(
        outputs=tracker.outputs, uri=uri, flush_seconds=0.05, patience_seconds=0.3, system_metrics_seconds=0
    )
    stub.stop()
    with track(secret.outputs / "a", secret, name="a", experiment="test") as run:
        train(run)
    assert "hunter2" not in caplog.text
    files = [path for path in secret.outputs.rglob("*") if path.is_file()]
    assert not [path for path in files if b"hunter2" in path.read_bytes()]
    stub.start()
    assert [one.delivered for one in reconcile(secret.outputs, secret)] == [True]
    arrived(stub)


def test_a_run_that_is_taken_over_while_the_server_is_down_is_nested_later(tracker, stub):
    tracker = replace(tracker, patience_seconds=20)
    for name in ("child", "new"):
        with track(tracker.outputs / name, tracker, name=name, experiment="test"):
            pass
    stub.stop()
    nest(tracker.outputs / "child", tracker, name="seed=0", parent=tracker.outputs / "new")
    assert [one.delivered for one in reconcile(tracker.outputs, tracker)] == [False]
    stub.start()
    assert [one.delivered for one in reconcile(tracker.outputs, tracker)] == [True]
    (parent,) = [run_id for run_id, run in stub.runs.items() if run["name"] == "new"]
    (child,) = [run for run in stub.runs.values() if run["name"] == "seed=0"]
    assert (child["tags"]["mlflow.parentRunId"], child["status"]) == (parent, "FINISHED")


@pytest.fixture(scope="module")
def real_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = (folder / "log.txt").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder, env=environment)
    uri = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 180
    try:
        while True:
            assert process.poll() is None, (folder / "log.txt").read_text()
            assert time.monotonic() < deadline, (folder / "log.txt").read_text()
            try:
                with urlopen(f"{uri}/health", timeout=2):
                    break
            except OSError:
                time.sleep(0.3)
        yield uri, process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


@pytest.mark.slow
def test_a_real_server_that_freezes_in_the_middle(real_server, tmp_path):
    uri, process = real_server
    tracker = Tracker(outputs=tmp_path, uri=uri, flush_seconds=0.2, patience_seconds=60, system_metrics_seconds=0)
    with track(tmp_path / "a", tracker, name="a", experiment="test") as run:
        run.start_delivery()
        train(run, range(1000))
        client = MlflowClient(uri)
        wait_for(lambda: client.get_experiment_by_name("test") is not None, 60)
        os.killpg(process.pid, signal.SIGSTOP)
        assert train(run, range(1000, 3000)) < 1e-3
        run.log_text("grüße", "note.txt", "notes")
        time.sleep(2)
        os.killpg(process.pid, signal.SIGCONT)
    (found,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params == {"lr": "0.1"}
    history = client.get_metric_history(found.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(step, step + 0.5) for step in range(3000)]
    assert Path(client.download_artifacts(found.info.run_id, "notes/note.txt")).read_text() == "grüße"
    assert list((tmp_path / "active").iterdir()) == []
    first = found.info.end_time
    with track(tmp_path / "a", tracker, name="a", experiment="test", resume=True) as run:
        train(run, range(2900, 3100))
    (found,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    history = client.get_metric_history(found.info.run_id, "loss")
    assert sorted(point.step for point in history) == list(range(3100))
    assert found.info.end_time > first
