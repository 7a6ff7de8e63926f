import json
import math
import shutil
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fiducial.errors import InputError
from fiducial.tracking import NullRun, Run, Tracker, journal, reconcile, store, track
from fiducial.tracking.delivery import Delivery
from fiducial.tracking.journal import Journal
from fiducial.tracking.liveness import Marker
from fiducial.tracking.run import clean_key


def mlflow_run(tracker, experiment="test"):
    client = MlflowClient(tracker.uri)
    runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert len(runs) == 1
    return client, runs[0]


def points(client, run, key):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]


def test_everything_arrives(tracker, tmp_path):
    out = tracker.outputs / "runs" / "first run"
    extra = tmp_path / "elsewhere.bin"
    extra.write_bytes(bytes(range(256)))
    with track(out, tracker, name="first", experiment="test") as run:
        run.start_delivery()
        run.log_params({f"p{number}": number for number in range(250)} | {"flag": True, "none": None, "empty": ""})
        run.set_tags({f"t{number}": number for number in range(250)})
        for step in range(2500):
            run.log_metrics({"loss": 1 / (step + 1), "train/acc [%]": step}, step)
        run.log_text("grüße\n", "note.txt", "notes/deep")
        run.log_file(extra)
        assert not run.resumed
    client, found = mlflow_run(tracker)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "first"
    assert found.info.user_id == "unknown"
    assert found.data.tags["fiducial.run"] == run.id
    assert {key: found.data.tags[key] for key in ("t0", "t249")} == {"t0": "0", "t249": "249"}
    assert len(found.data.params) == 253
    assert found.data.params["flag"] == "True"
    assert found.data.params["none"] == "None"
    assert points(client, found, "loss") == [(step, 1 / (step + 1)) for step in range(2500)]
    assert points(client, found, "train/acc ___") == [(step, step) for step in range(2500)]
    note = Path(client.download_artifacts(found.info.run_id, "notes/deep/note.txt"))
    assert note.read_text() == "grüße\n"
    assert Path(client.download_artifacts(found.info.run_id, "elsewhere.bin")).read_bytes() == extra.read_bytes()
    assert found.info.artifact_uri.startswith(f"file://{tracker.outputs}/artifacts/test/")
    assert list((tracker.outputs / "active").iterdir()) == []


def test_dataset_and_kind_of_experiment(tracker):
    profile = {"train cases": 546, "modality": "ultrasound"}
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_dataset("breastmnist", "0123456789abcdef" * 4, profile)
    client, found = mlflow_run(tracker)
    (entry,) = found.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("breastmnist", "0123456789abcdef")
    assert json.loads(entry.dataset.profile) == profile
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]
    tags = client.get_experiment(found.info.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_start_and_end_times_are_the_runs_own(tracker):
    before = time.time() * 1000 - 1
    with track(tracker.outputs / "a", tracker, name="a", experiment="test"):
        time.sleep(0.2)
        after = time.time() * 1000 + 1
    _, found = mlflow_run(tracker)
    assert before <= found.info.start_time <= after
    assert found.info.end_time - found.info.start_time >= 199


def test_infinity_becomes_nan_and_a_tag(tracker):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_metrics({"up": math.inf, "down": -math.inf, "nan": math.nan, "fine": 1.5}, 3)
    client, found = mlflow_run(tracker)
    for key in ("up", "down", "nan"):
        assert math.isnan(points(client, found, key)[0][1])
    assert points(client, found, "fine") == [(3, 1.5)]
    assert found.data.tags["fiducial.infinite.up"] == "inf at step 3, stored as NaN"
    assert found.data.tags["fiducial.infinite.down"] == "-inf at step 3, stored as NaN"
    assert "fiducial.infinite.nan" not in found.data.tags


def test_long_values_odd_keys_and_secrets(tracker):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_params({"long": "x" * 7000, "sizes[0]@x": 1, "k" * 400: 1, "tracking.password": "hunter2"})
        run.log_params({"uri": "http://me:hunter2@host"})
        run.set_tags({"long": "x" * 9000, "api_key": "hunter2"})
        run.log_text("password: hunter2", "config.yaml")
    _, found = mlflow_run(tracker)
    params = found.data.params
    assert len(params["long"]) == 6000
    assert params["long"].endswith(" …")
    assert params["sizes_0__x"] == "1"
    assert params["k" * 250] == "1"
    assert "hunter2" not in str(found.data)
    written = [path for path in tracker.outputs.rglob("*") if path.is_file()]
    assert not [path for path in written if b"hunter2" in path.read_bytes()]
    assert len(written) > 5


@pytest.mark.parametrize(
    ("key", "clean"),
    [
        ("a/b.c-d e", "a/b.c-d e"),
        ("a//b", "a/b"),
        ("../x", "_"),
        ("/abs", "abs"),
        ("a:b", "a_b"),
        (".", "_"),
        ("é", "é"),
    ],
)
def test_clean_key(key, clean):
    from mlflow.utils.validation import _validate_metric_name

    assert clean_key(key) == clean
    _validate_metric_name(clean)


def test_resume_goes_on_in_the_same_run_without_doubles(tracker):
    out = tracker.outputs / "a"
    with suppress(ZeroDivisionError), track(out, tracker, name="a", experiment="test") as run:
        run.log_params({"lr": 0.1, "epochs": 5})
        for step in range(10):
            run.log_metrics({"loss": step}, step)
        run.log_metrics({"val": 4}, 4)
        run.log_metrics({"system/cpu_percent": 1}, 0)
        raise ZeroDivisionError
    first = run.id
    with track(out, tracker, name="a", experiment="test", resume=True) as run:
        assert run.resumed
        assert run.id == first
        run.start_delivery()
        run.log_params({"lr": 0.1, "epochs": 8, "new": 1})
        for step in range(5, 15):  # the checkpoint was from step 5
            run.log_metrics({"loss": step}, step)
            if step in (9, 14):
                run.log_metrics({"val": step}, step)
        deadline = time.monotonic() + 90
        while mlflow_run(tracker)[1].info.status != "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    client, found = mlflow_run(tracker)
    assert found.info.status == "FINISHED"
    assert points(client, found, "loss") == [(step, step) for step in range(15)]
    assert points(client, found, "val") == [(4, 4), (9, 9), (14, 14)]
    assert found.data.params == {"lr": "0.1", "epochs": "5", "new": "1"}
    assert found.data.tags["fiducial.changed.epochs"] == "5 → 8"
    assert "fiducial.changed.lr" not in found.data.tags


def test_two_points_of_one_step_are_both_kept_while_a_run_lives(tracker):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_metrics({"loss": 1}, 0)
        run.flush()
        run.log_metrics({"loss": 2}, 0)
    client, found = mlflow_run(tracker)
    assert sorted(points(client, found, "loss")) == [(0, 1), (0, 2)]


@pytest.mark.slow
def test_sending_again_changes_nothing(tracker):
    out = tracker.outputs / "a"
    with track(out, tracker, name="a", experiment="test") as run:
        for step in range(700):
            run.log_metrics({"loss": step % 7, "nan": math.nan}, step)
        run.log_params({"a": 1})
        run.log_text("x", "x.txt")
    client, before = mlflow_run(tracker)
    for damage in ("", '{"uri": "', None):
        receipt = out / "tracking" / "delivered.json"
        receipt.unlink() if damage is None else receipt.write_text(damage)
        if damage is None:  # as if killed between making the run and noting its id
            receipt.write_text(f'{{"uri": "{tracker.uri}", "attempts": 1}}')
        Delivery(out, tracker.uri).advance()
        _, after = mlflow_run(tracker)
        assert after.info.run_id == before.info.run_id
        assert after.data.metrics.keys() == before.data.metrics.keys()
        assert points(client, after, "loss") == [(step, step % 7) for step in range(700)]
        assert len(points(client, after, "nan")) == 700


def mixed_run(outputs):
    """Log what a run logs, files and facts about data between metrics, without sending it; return its folder."""
    out = outputs / "mixed"
    with track(out, Tracker(outputs=outputs, uri=None, system_metrics_seconds=0), name="a", experiment="test") as run:
        run.log_params({"lr": 0.1})
        run.log_dataset("phantom", "a" * 64, {"cases": 3})
        run.set_tags({"stage": "early"})
        run.log_text("first", "first.txt")
        for step in range(3):
            run.log_metrics({"loss": step + 0.5}, step)
            run.flush()
            run.log_text(f"text {step}", f"{step}.txt", "texts")
        run.set_tags({"stage": "late"})
        run.log_params({"late": 1})
    return out


def assert_all_of_mixed_run(tracker):
    client, found = mlflow_run(tracker)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"lr": "0.1", "late": "1"}
    assert found.data.tags["stage"] == "late"
    assert points(client, found, "loss") == [(0, 0.5), (1, 1.5), (2, 2.5)]
    assert [one.dataset.name for one in found.inputs.dataset_inputs] == ["phantom"]
    for step in range(3):
        text = Path(client.download_artifacts(found.info.run_id, f"texts/{step}.txt"))
        assert text.read_text() == f"text {step}"


def test_files_do_not_cut_a_batch_in_two(tracker, monkeypatch):
    batches = []
    send = MlflowClient.log_batch
    monkeypatch.setattr(
        MlflowClient, "log_batch", lambda *args, **kwargs: (batches.append(kwargs), send(*args, **kwargs))[1]
    )
    out = mixed_run(tracker.outputs)
    delivery = Delivery(out, tracker.uri)
    delivery.advance()
    assert delivery.is_complete
    assert [(len(one["params"]), len(one["tags"]), len(one["metrics"])) for one in batches] == [(2, 1, 3)]
    assert_all_of_mixed_run(tracker)


def test_a_delivery_that_is_interrupted_after_any_request_loses_nothing(tracker, monkeypatch):
    """After each request that was carried out the process dies, before or after it has noted so."""
    out, sent = mixed_run(tracker.outputs), []
    send = Delivery._send

    def die(delivery, client, receipt, chunk):
        send(delivery, client, receipt, chunk)
        sent.append(chunk)
        if len(sent) % 2:
            raise ConnectionError("died before it was noted")

    monkeypatch.setattr(Delivery, "_send", die)
    for _ in range(100):
        delivery, start = Delivery(out, tracker.uri), len(sent)
        with suppress(ConnectionError):
            delivery.advance(lambda start=start: len(sent) > start)  # noted, then dead
        if delivery.is_complete:
            break
    assert delivery.is_complete
    assert len(sent) > 8
    assert_all_of_mixed_run(tracker)


def test_a_run_resumed_with_a_store_sends_all_it_did_without(outputs):
    quiet = Tracker(outputs=outputs, uri=None, system_metrics_seconds=0)
    with track(outputs / "a", quiet, name="a", experiment="test") as run:
        run.log_metrics({"loss": 1}, 0)
    assert list((outputs / "active").iterdir()) == []
    loud = Tracker(outputs=outputs, system_metrics_seconds=0)
    with track(outputs / "a", loud, name="a", experiment="test", resume=True) as run:
        run.log_metrics({"loss": 2}, 1)
    client, found = mlflow_run(loud)
    assert points(client, found, "loss") == [(0, 1), (1, 2)]


def test_a_database_that_was_lost_is_filled_again(tracker, empty_database):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_metrics({"loss": 1}, 0)
    other = Tracker(outputs=tracker.outputs, uri=f"sqlite:///{tracker.outputs}/second.db", system_metrics_seconds=0)
    shutil.copy(empty_database, tracker.outputs / "second.db")
    receipt = tracker.outputs / "a" / "tracking" / "delivered.json"
    receipt.write_text(receipt.read_text().replace("mlflow.db", "second.db"))
    with track(tracker.outputs / "a", other, name="a", experiment="test", resume=True) as run:
        run.log_metrics({"loss": 2}, 1)
    client, found = mlflow_run(other)
    assert points(client, found, "loss") == [(0, 1), (1, 2)]


def test_a_run_deleted_in_mlflow_comes_back_when_it_is_resumed(tracker):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test"):
        pass
    client, found = mlflow_run(tracker)
    client.delete_run(found.info.run_id)
    with track(tracker.outputs / "a", tracker, name="a", experiment="test", resume=True) as run:
        run.log_metrics({"loss": 2}, 1)
    client, found = mlflow_run(tracker)
    assert found.info.lifecycle_stage == "active"
    assert points(client, found, "loss") == [(1, 2)]


@pytest.mark.parametrize("last", [False, True])
def test_a_run_deleted_in_mlflow_while_it_lives_is_restored_and_loses_nothing(tracker, last):
    """It is deleted before one metric is sent, or before nothing is left but its end."""
    slow = Tracker(outputs=tracker.outputs, flush_seconds=60, system_metrics_seconds=0)
    with track(tracker.outputs / "a", slow, name="a", experiment="test") as run:
        run.log_metrics({"loss": 0.5}, 0)
        run.flush()
        Delivery(run.out, tracker.uri).advance()
        client, found = mlflow_run(tracker)
        client.delete_run(found.info.run_id)
        if not last:
            run.log_metrics({"loss": 1.5}, 1)
        run.start_delivery()
    client, found = mlflow_run(tracker)
    assert found.info.status == "FINISHED"
    assert points(client, found, "loss") == ([(0, 0.5)] if last else [(0, 0.5), (1, 1.5)])
    assert not (run.out / "tracking" / "refused.jsonl").exists()


def test_a_run_deleted_between_two_requests_is_restored_and_loses_nothing(tracker, monkeypatch):
    out = mixed_run(tracker.outputs)
    send, deleted = Delivery._send, []

    def delete_first(delivery, client, receipt, chunk):
        if len(deleted) < 20 and chunk not in deleted:
            deleted.append(chunk)
            client.delete_run(receipt.run_id)
        send(delivery, client, receipt, chunk)

    monkeypatch.setattr(Delivery, "_send", delete_first)
    delivery = Delivery(out, tracker.uri, restore=True)
    delivery.advance()
    assert delivery.is_complete
    assert len(deleted) > 5
    assert_all_of_mixed_run(tracker)
    assert not (out / "tracking" / "refused.jsonl").exists()


def test_a_missing_artifact_does_not_hold_up_the_rest(tracker, tmp_path, caplog):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        path = tmp_path / "gone.txt"
        path.write_text("x")
        run.log_file(path)
        path.unlink()
        run.log_metrics({"loss": 1}, 0)
    client, found = mlflow_run(tracker)
    assert found.info.status == "FINISHED"
    assert points(client, found, "loss") == [(0, 1)]
    assert "gone.txt" in (tracker.outputs / "a" / "tracking" / "refused.jsonl").read_text()
    assert "did not take everything" in caplog.text


def test_one_refused_value_does_not_hold_up_the_rest(tracker):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        path = run.out / "tracking" / "journal.jsonl"
        with path.open("a") as file:  # a key that an older version might have let through
            file.write('{"event":"params","values":{"good":"1","bad[0]":"1"}}\n')
        run.log_metrics({"loss": 1}, 0)
    client, found = mlflow_run(tracker)
    assert found.data.params == {"good": "1"}
    assert points(client, found, "loss") == [(0, 1)]
    assert "bad[0]" in (tracker.outputs / "a" / "tracking" / "refused.jsonl").read_text()


def test_folders_with_and_without_a_run(tmp_path):
    tracker = Tracker(outputs=tmp_path, uri=None)
    new = partial(track, tmp_path / "a", tracker, name="a", experiment="test")
    with pytest.raises(InputError, match="expected a folder with a run"), new(resume=True):
        pytest.fail("there is nothing to resume")
    with new(), pytest.raises(InputError, match="in use by process"), new(resume=True):
        pytest.fail("it is alive")
    with pytest.raises(InputError, match="expected a folder without a run"), new():
        pytest.fail("it would be mixed with another run")


def test_logging_metrics_writes_nothing_in_the_calling_thread(tmp_path, monkeypatch):
    import os

    tracker = Tracker(outputs=tmp_path, uri=None, flush_seconds=0.01, system_metrics_seconds=0)
    writers = set()
    write = os.write
    with track(tmp_path / "a", tracker, name="a", experiment="test") as run:
        monkeypatch.setattr(os, "write", lambda *args: writers.add(threading.current_thread().name) or write(*args))
        begin = time.perf_counter()
        for step in range(20_000):
            run.log_metrics({"loss": 0.5, "acc": 0.5}, step)
        seconds = (time.perf_counter() - begin) / 20_000
        time.sleep(0.1)
        monkeypatch.undo()
    assert writers == {"fiducial-journal"}
    assert seconds < 1e-3
    logged = [
        point for event, _ in journal.read(run.out / "tracking" / "journal.jsonl") for point in event.get("points", ())
    ]
    assert [point[3] for point in logged if point[0] == "loss"] == list(range(20_000))


def test_metrics_outlive_a_full_disk(tmp_path, monkeypatch):
    tracker = Tracker(outputs=tmp_path, uri=None, flush_seconds=60, system_metrics_seconds=0)
    with track(tmp_path / "a", tracker, name="a", experiment="test") as run:
        run.log_metrics({"loss": 1}, 0)
        run.log_metrics({"loss": 2}, 1)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.write", full)
        with pytest.raises(OSError, match="No space"):
            run.flush()
        monkeypatch.undo()
    logged = [
        point for event, _ in journal.read(run.out / "tracking" / "journal.jsonl") for point in event.get("points", ())
    ]
    assert [point[1] for point in logged] == [1, 2]


@pytest.mark.parametrize("uri", ["embedded", None])
def test_a_run_whose_end_could_not_be_written_is_not_left_running(outputs, monkeypatch, caplog, uri):
    tracker = Tracker(outputs=outputs, uri=uri, flush_seconds=60, system_metrics_seconds=0)
    append = journal.Journal.append

    def full(self, *events):
        if events and events[-1]["event"] == "status":
            raise OSError(28, "No space left on device")
        append(self, *events)

    with track(outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_metrics({"loss": 1}, 0)
        monkeypatch.setattr(journal.Journal, "append", full)
    monkeypatch.undo()
    assert "the run's end could not be written" in caplog.text
    assert [(one.died, one.delivered) for one in reconcile(outputs)] == [(True, True)]  # as after a kill
    assert journal.History.of(run.out / "tracking" / "journal.jsonl").status == "FAILED"
    if uri is not None:
        _, found = mlflow_run(tracker)
        assert found.info.status == "FAILED"
    assert list((outputs / "active").iterdir()) == []


def test_null_run_takes_what_a_run_takes(tmp_path):
    public = {name for name in vars(Run) if not name.startswith("_")} - {"end", "hurry"}
    assert public <= {name for name in vars(NullRun) if not name.startswith("_")}
    run = NullRun(tmp_path)
    run.log_metrics({"a": 1.0}, 0)
    run.log_text("x", "x.txt")
    assert list(tmp_path.iterdir()) == []


def moved(tracker, tmp_path):
    """Move the folder of runs; return the tracker of its new place."""
    tracker.outputs.rename(tmp_path / "moved")
    return Tracker(outputs=tmp_path / "moved", flush_seconds=0.05, system_metrics_seconds=0)


def test_a_folder_of_runs_that_was_moved_keeps_its_runs(tracker, tmp_path):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_metrics({"loss": 1}, 0)
        run.log_text("before", "before.txt")
    there = moved(tracker, tmp_path)
    with track(there.outputs / "a", there, name="a", experiment="test", resume=True) as run:
        run.log_metrics({"loss": 2}, 1)
    client, found = mlflow_run(there)
    assert points(client, found, "loss") == [(0, 1), (1, 2)]
    assert found.info.artifact_uri.startswith(f"{(there.outputs / 'artifacts' / 'test').as_uri()}/")
    assert Path(client.download_artifacts(found.info.run_id, "before.txt")).read_text() == "before"
    assert not tracker.outputs.exists()


def test_a_database_that_was_copied_is_left_as_it_is(tracker, tmp_path):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_text("before", "before.txt")
    shutil.copytree(tracker.outputs, tmp_path / "copy")
    assert store.follow(tmp_path / "copy" / "mlflow.db") == 0
    tracker.outputs.rename(tmp_path / "kept elsewhere")
    assert store.follow(tmp_path / "copy" / "mlflow.db") == 1
    assert store.follow(tmp_path / "copy" / "mlflow.db") == 0


def test_a_dead_run_of_a_folder_that_was_moved_is_delivered_where_it_is_now(tracker, tmp_path):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_metrics({"loss": 1}, 0)
    marker = Marker.here(run.id, tracker.outputs / "a", tracker.outputs, tracker.uri)
    there = moved(tracker, tmp_path)
    left = Journal(there.outputs / "a" / "tracking" / "journal.jsonl")
    left.append({"event": "metrics", "points": [["loss", 2.0, 0, 1]]})
    left.close()
    marker.write(there.outputs)
    assert [one.delivered for one in reconcile(there.outputs)] == [True]
    client, found = mlflow_run(there)
    assert sorted(points(client, found, "loss")) == [(0, 1), (1, 2)]
    assert not tracker.outputs.exists()


def test_a_journal_whose_end_a_power_loss_took_is_sent_again_with_its_true_end(tracker):
    out = tracker.outputs / "a"
    with track(out, tracker, name="a", experiment="test") as run:
        run.log_metrics({"loss": 1}, 0)
    path = out / "tracking" / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b"FINISHED" not in line))
    Marker.here(run.id, out, tracker.outputs, tracker.uri).write(tracker.outputs)
    assert [(one.died, one.delivered) for one in reconcile(tracker.outputs)] == [(True, True)]
    client, found = mlflow_run(tracker)
    assert found.info.status == "FAILED"
    assert points(client, found, "loss") == [(0, 1)]


def test_bytes_of_a_path_that_are_no_text_are_written_out(tracker):
    with track(tracker.outputs / "a", tracker, name="a", experiment="test") as run:
        run.log_params({"root": "/data/Kn\udcf6tchen"})
        run.set_tags({"where": "Kn\udcf6"})
    _, found = mlflow_run(tracker)
    assert found.info.status == "FINISHED"
    assert found.data.params["root"] == "/data/Kn\\udcf6tchen"
    assert found.data.tags["where"] == "Kn\\udcf6"
