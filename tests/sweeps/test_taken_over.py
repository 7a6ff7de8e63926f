"""Which runs a sweep takes over from another one; nothing is sent to a store here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fiducial.runs import folder
from fiducial.sweeps import worker
from fiducial.sweeps.job import Spec
from fiducial.sweeps.nesting import take, take_done
from fiducial.sweeps.plan import Plan
from fiducial.tracking import Tracker, track
from fiducial.tracking.courier import DELIVERED
from fiducial.tracking.journal import History
from fiducial.tracking.liveness import Marker, alive
from fiducial.tracking.receipt import RECEIPT, Receipt


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.setenv(DELIVERED, "x")
    return Tracker(outputs=tmp_path, system_metrics_seconds=0)


@pytest.fixture
def sweeps(tmp_path: Path, tracker: Tracker) -> Path:
    """Return the folder of the parents `old`, `new` and `elsewhere`, the last in another experiment."""
    for name in ("old", "new", "elsewhere"):
        log(tmp_path / "sweeps" / name, tracker, experiment="b" if name == "elsewhere" else "a")
    return tmp_path / "sweeps"


def log(out: Path, tracker: Tracker, *, experiment: str = "a", parent: Path | None = None) -> Path:
    with track(out, tracker, name=out.name, experiment=experiment, parent=parent):
        pass
    return out


def place(out: Path) -> tuple[str, str]:
    """Return what a run is called, and the name of the sweep that it belongs to."""
    history = History.of(out / "tracking" / "journal.jsonl")
    return history.name, Path(history.parent).name


def test_a_run_belongs_to_the_sweep_that_took_it_last(sweeps: Path, tracker: Tracker) -> None:
    run = log(sweeps.parent / "runs" / "x" / "one", tracker, parent=sweeps / "old")
    take(run, "lr=0.1", sweeps / "new", tracker)
    assert place(run) == ("lr=0.1", "new")
    length = (run / "tracking" / "journal.jsonl").stat().st_size
    take(run, "lr=0.1", sweeps / "new", tracker)
    assert (run / "tracking" / "journal.jsonl").stat().st_size == length
    alone = log(sweeps.parent / "runs" / "x" / "two", tracker)
    take(alone, "lr=0.2", sweeps / "new", tracker)
    assert place(alone) == ("lr=0.2", "new")


def test_some_runs_stay_where_they_are(sweeps: Path, tracker: Tracker) -> None:
    run = log(sweeps.parent / "runs" / "x" / "one", tracker, parent=sweeps / "old")
    with alive(run):
        take(run, "taken", sweeps / "new", tracker)
    with alive(sweeps / "old"):  # which is still going on
        take(run, "taken", sweeps / "new", tracker)
    take(run, "taken", sweeps / "elsewhere", tracker)
    take(run, "taken", sweeps / "none", tracker)
    take(run, "taken", sweeps / "new", replace(tracker, uri=None))
    assert place(run) == ("one", "old")
    with alive(sweeps / "new"):  # the one that takes it is going on, of course
        take(run, "taken", sweeps / "new", tracker)
        take(run, "named anew", sweeps / "new", tracker)
    assert place(run) == ("named anew", "new")


def test_what_cannot_be_written_is_said_and_holds_nothing_up(
    sweeps: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = log(sweeps.parent / "runs" / "x" / "one", tracker, parent=sweeps / "old")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fiducial.sweeps.nesting.nest", refuse)
    take(run, "taken", sweeps / "new", tracker)
    assert "is not shown below new: [Errno 13] Permission denied" in caplog.text


def test_what_was_kept_from_the_store_is_not_sent_by_a_sweep(sweeps: Path, tracker: Tracker) -> None:
    runs = {name: log(sweeps.parent / "runs" / "x" / name, tracker) for name in ("sent", "waiting", "kept", "away")}
    for name in ("sent", "kept", "away"):
        for marker in Marker.all_in(sweeps.parent):
            if marker.folder(sweeps.parent) == runs[name]:
                marker.remove(sweeps.parent)
    for name, uri in (("sent", tracker.shown_uri), ("away", "http://another")):
        assert uri is not None
        Receipt(uri, run_id="0" * 32).write(runs[name] / RECEIPT)
    take_done([(f"taken {name}", "", out) for name, out in runs.items()], sweeps / "new", tracker)
    assert [place(out) for out in runs.values()] == [
        ("taken sent", "new"),
        ("taken waiting", "new"),
        ("kept", ""),
        ("away", ""),
    ]


def test_a_run_that_goes_on_is_taken_before_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DELIVERED, "x")
    (job,) = Plan.of([f"outputs={tmp_path}", "seed=0"], None).jobs
    tracker = Tracker(outputs=tmp_path, system_metrics_seconds=0)
    sweep, earlier = (log(tmp_path / "sweeps" / name, tracker, experiment="phantom") for name in ("new", "old"))
    run = folder.create(job.composed, job.identity, title="seed=0", sweep=earlier)
    with pytest.raises(RuntimeError), track(run, tracker, name="seed=0", experiment="phantom", parent=earlier):
        raise RuntimeError
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(worker, "train", lambda cfg, out, **_: found.append(place(out)))
    worker.execute(Spec(0, job.composed.overrides, None, str(sweep), "lr=0.1 seed=0", composed=job.composed))
    assert found == [("lr=0.1 seed=0", "new")]
