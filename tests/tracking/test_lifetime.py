"""A run's status is true however it ends. Each case is a process of its own, as a user would have it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fiducial.tracking import Tracker, reconcile, track
from fiducial.tracking.delivery import Delivery
from fiducial.tracking.journal import History, read
from fiducial.tracking.reconcile import DIED

JOB = """
import sys, time, signal, os
from pathlib import Path
from fiducial.errors import InputError
from fiducial.tracking import Tracker, track
outputs, how, uri = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
tracker = Tracker(outputs=outputs, uri=uri or None, flush_seconds=0.02, system_metrics_seconds=0)
with track(outputs / how, tracker, name=how, experiment="test") as run:
    run.start_delivery()
    run.log_metrics({"loss": 1}, 0)
    run.flush()
    if how == "error":
        raise RuntimeError("the data is\\ngone; token=hunter2")
    if how == "input":
        raise InputError("expected a, got b")
    if how == "exit 0":
        sys.exit(0)
    if how == "exit 3":
        sys.exit(3)
    if how == "lightning interrupt":
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)
    if how == "lightning sigterm":
        class SIGTERMException(SystemExit): pass
        raise SIGTERMException
    if how == "masked sigterm":
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException:
            raise RuntimeError("a consequence")
    if how != "end":
        print("ready", flush=True)
        time.sleep(60)
"""

ENDINGS = [
    ("end", None, 0, "FINISHED"),
    ("exit 0", None, 0, "FINISHED"),
    ("error", None, 1, "FAILED"),
    ("input", None, 1, "FAILED"),
    ("exit 3", None, 3, "FAILED"),
    ("Ctrl-C", signal.SIGINT, -signal.SIGINT, "KILLED"),
    ("terminate", signal.SIGTERM, 143, "KILLED"),
    ("lightning interrupt", None, -signal.SIGINT, "KILLED"),
    ("lightning sigterm", None, 143, "KILLED"),
    ("masked sigterm", None, 143, "KILLED"),
    ("kill", signal.SIGKILL, -signal.SIGKILL, "RUNNING"),
]


def start(outputs, how, uri=""):
    command = [sys.executable, "-c", JOB, str(outputs), how, uri]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, number):
    if number is not None:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
    stderr = process.communicate(timeout=300)[1]
    return process.returncode, stderr


def tags(out):
    found = {}
    for event, _ in read(out / "tracking" / "journal.jsonl"):
        found |= event["values"] if event["event"] == "tags" else {}
    return found


@pytest.mark.parametrize(("how", "number", "code", "status"), ENDINGS)
def test_status_and_exit_code(tmp_path, how, number, code, status):
    returned, stderr = finish(start(tmp_path, how), number)
    assert returned == code, stderr
    out = tmp_path / how
    history = History.of(out / "tracking" / "journal.jsonl")
    assert history.status == status
    assert history.last_steps == {"loss": 0}
    trace = out / "tracking" / "files" / "traceback.txt"
    assert trace.exists() == (status == "FAILED")
    messages = {
        "error": "gone; token=***",
        "input": "expected a, got b",
        "exit 3": "SystemExit: 3",
        "Ctrl-C": "ended by Ctrl-C",
        "lightning interrupt": "ended by Ctrl-C",
        "terminate": "ended by SIGTERM",
        "lightning sigterm": "ended by SIGTERM",
        "masked sigterm": "ended by SIGTERM",
    }
    assert messages.get(how, "") in tags(out).get("fiducial.error", "")
    assert ("fiducial.error" in tags(out)) == (how in messages)
    if how == "error":
        assert "RuntimeError: the data is" in trace.read_text()
        assert "hunter2" not in trace.read_text()


@pytest.mark.slow
def test_every_status_arrives_in_mlflow(outputs, caplog):
    tracker = Tracker(outputs=outputs, system_metrics_seconds=0)
    for group in (ENDINGS[:1], ENDINGS[2:3], ENDINGS[5:7], ENDINGS[-1:]):
        processes = [(start(outputs, how, tracker.uri), number) for how, number, _, _ in group]
        for process, number in processes:
            finish(process, number)
    with track(outputs / "next", tracker, name="next", experiment="test"):
        pass
    assert "had died without a word" in caplog.text
    client = MlflowClient(tracker.uri)
    runs = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert {run.info.run_name: run.info.status for run in runs} == {
        "end": "FINISHED", "error": "FAILED", "Ctrl-C": "KILLED", "terminate": "KILLED",
        "kill": "FAILED", "next": "FINISHED",
    }  # fmt: skip
    by_name = {run.info.run_name: run for run in runs}
    assert by_name["kill"].data.tags["fiducial.error"] == DIED
    assert by_name["kill"].data.tags["fiducial.interrupted"] == "true"
    assert by_name["kill"].data.metrics == {"loss": 1}
    trace = client.download_artifacts(by_name["error"].info.run_id, "traceback.txt")
    assert "RuntimeError" in Path(trace).read_text()
    assert list((outputs / "active").iterdir()) == []


def killed(outputs, how="kill", uri=""):
    finish(start(outputs, how, uri), signal.SIGKILL)
    return outputs / how


def test_reconcile_finds_the_dead_and_leaves_the_living(tmp_path):
    dead = killed(tmp_path)
    living = start(tmp_path, "alive")
    assert living.stdout.readline() == "ready\n"
    with track(tmp_path / "own", Tracker(outputs=tmp_path, uri=None), name="own", experiment="test") as own:
        found = reconcile(tmp_path)
        assert [(one.out, one.died, one.delivered) for one in found] == [(dead, True, True)]
        assert reconcile(tmp_path) == []
        assert History.of(own.out / "tracking" / "journal.jsonl").status == "RUNNING"
    living.terminate()
    living.communicate(timeout=200)
    assert living.returncode == 143
    assert History.of(dead / "tracking" / "journal.jsonl").status == "FAILED"
    assert tags(dead)["fiducial.error"] == DIED


def test_the_end_of_a_dead_run_is_its_last_sign_of_life(tmp_path):
    path = killed(tmp_path) / "tracking" / "journal.jsonl"
    os.utime(path, (1_700_000_000, 1_700_000_000))
    reconcile(tmp_path)
    assert list(read(path))[-1][0] == {"event": "status", "status": "FAILED", "time": 1_700_000_000_000}


def test_a_dead_run_with_a_torn_line_is_reconciled_and_resumed(outputs, tracker):
    out = killed(outputs)
    path = out / "tracking" / "journal.jsonl"
    with path.open("a") as file:
        file.write('{"event":"metrics","points":[["loss",3.0')
    assert [one.died for one in reconcile(outputs)] == [True]
    with track(out, tracker, name="x", experiment="x", resume=True) as run:
        run.log_metrics({"loss": 1}, 0)
        run.log_metrics({"loss": 2}, 1)
    client = MlflowClient(tracker.uri)
    found = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert [run.info.status for run in found] == ["FINISHED"]
    assert found[0].info.run_name == "kill"
    assert [point.step for point in client.get_metric_history(found[0].info.run_id, "loss")] == [0, 1]
    assert found[0].data.tags["fiducial.error"] == ""
    assert found[0].data.tags["fiducial.interrupted"] == "true"


def test_a_worker_that_outlives_its_run_does_not_keep_it_alive(tmp_path):
    # the worker says that it is there: killed before, its parent would die in the middle of the fork
    worker = 'os.fork() or (print("ready", flush=True), time.sleep(30))\n        time.sleep(60)'
    job = JOB.replace('print("ready", flush=True)', worker)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", job, str(tmp_path), "kill", ""],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert [one.died for one in reconcile(tmp_path)] == [True]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


def test_runs_of_other_machines_and_folders_that_are_gone(tmp_path):
    import json
    import shutil

    out = killed(tmp_path)
    marker = next((tmp_path / "active").iterdir())
    here = json.loads(marker.read_text())
    marker.write_text(json.dumps(here | {"host": "elsewhere", "boot": "another"}))
    assert reconcile(tmp_path) == []
    assert marker.exists()
    (asked,) = reconcile(tmp_path, elsewhere=True)  # whether it is alive is known there only
    assert (asked.died, asked.delivered) == (False, False)
    assert "it is RUNNING on elsewhere, or died there" in asked.reason
    marker.write_text(json.dumps(here))
    shutil.rmtree(out)
    assert reconcile(tmp_path) == []
    assert not marker.exists()
    marker.write_text("{ damaged")
    assert reconcile(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/sys/kernel/random/boot_id").exists(), reason="containers are told apart on Linux")
def test_a_container_that_is_gone_was_on_this_machine(tmp_path):
    import json

    killed(tmp_path)
    marker = next((tmp_path / "active").iterdir())
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"host": "3f2a9c"}))
    assert [one.died for one in reconcile(tmp_path)] == [True]
    assert not marker.exists()


def test_a_second_signal_ends_the_waiting(tmp_path):
    uri = "http://127.0.0.1:9"
    process = start(tmp_path, "terminate", uri)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    journal = tmp_path / "terminate" / "tracking" / "journal.jsonl"
    deadline = time.monotonic() + 20
    while History.of(journal).status != "KILLED" and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    stderr = process.communicate(timeout=200)[1]
    assert process.returncode == 143
    assert time.monotonic() - begin < 15  # the patience is 20 s
    assert "delivered by the next run" in stderr


def test_handlers_are_given_back(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with track(tmp_path / "a", Tracker(outputs=tmp_path, uri=None), name="a", experiment="test"):
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_starting_imports_nothing_heavy_and_takes_milliseconds(tmp_path):
    code = """
import sys, time
from pathlib import Path
from fiducial.tracking import Tracker, track
tracker = Tracker(outputs=sys.argv[1])
begin = time.perf_counter()
with track(Path(sys.argv[1]) / "a", tracker, name="a", experiment="a"):
    print(time.perf_counter() - begin)
    print([name for name in ("torch", "mlflow", "numpy", "pytorch_lightning") if name in sys.modules])
    import os
    sys.stdout.flush()
    os._exit(0)
"""
    seconds, modules = subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], text=True).splitlines()
    assert modules == "[]"
    assert float(seconds) < 0.5


KILLED_OFTEN = """
import sys, time
from pathlib import Path
from fiducial.tracking import Tracker, track
outputs = Path(sys.argv[1])
out = outputs / "a"
tracker = Tracker(outputs=outputs, uri=None, flush_seconds=0.005, system_metrics_seconds=0.01)
resume = (out / "tracking" / "journal.jsonl").exists()
checkpoint = out / "checkpoint"
with track(out, tracker, name="a", experiment="test", resume=resume) as run:
    for step in range(int(checkpoint.read_text()) if checkpoint.exists() else 0, 1200):
        run.log_metrics({"loss": step}, step)
        time.sleep(0.001)
        if step % 17 == 0:
            run.flush()
            draft = checkpoint.with_suffix(".new")
            draft.write_text(str(step + 1))
            draft.replace(checkpoint)
"""


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_nothing_is_missing_or_double(tracker):
    generator = random.Random(0)
    kills = 0
    while True:
        process = subprocess.Popen([sys.executable, "-c", KILLED_OFTEN, str(tracker.outputs)])
        try:
            longer = 1 + kills / 10  # on a slow machine too, it comes to its end
            assert process.wait(timeout=longer * generator.uniform(0.1, 0.4)) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert kills >= 2
    Delivery(tracker.outputs / "a", tracker.uri).advance()
    client = MlflowClient(tracker.uri)
    (found,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    loss = [(point.step, point.value) for point in client.get_metric_history(found.info.run_id, "loss")]
    assert sorted(loss) == [(step, step) for step in range(1200)]
    load = [point.step for point in client.get_metric_history(found.info.run_id, "system/cpu_percent")]
    assert sorted(load) == list(range(len(load)))
    assert found.info.status == "FINISHED"
