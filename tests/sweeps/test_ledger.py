from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from fiducial.config import compose
from fiducial.errors import InputError
from fiducial.runs import folder
from fiducial.sweeps.ledger import Ledger, claimed
from fiducial.tracking import Tracker, track
from fiducial.tracking.liveness import LockHeldError, is_alive, locked


def run_folder(outputs: Path, name: str, identity: str, *, scores: bool = False) -> Path:
    out = outputs / "runs" / "name" / name
    out.mkdir(parents=True)
    record = {"identity": identity, "choices": {}, "overrides": []}
    (out / "run.json").write_text(json.dumps(record))
    if scores:
        (out / "scores.json").write_text("{}")
    return out


def tracked(outputs: Path, out: Path, error: type[BaseException] | None) -> None:
    with pytest.raises(error) if error else track(out, Tracker(outputs=outputs, uri=None), name="x", experiment="x"):
        if error:
            with track(out, Tracker(outputs=outputs, uri=None), name="x", experiment="x"):
                raise error


def test_a_finished_run_counts_before_later_ones_that_are_not(tmp_path: Path) -> None:
    done = run_folder(tmp_path, "a", "one", scores=True)
    time.sleep(0.02)
    tracked(tmp_path, run_folder(tmp_path, "b", "one"), ValueError)
    assert Ledger(tmp_path).standing("one") == ("done", done)
    assert Ledger(tmp_path).standing("two") == ("missing", None)


@pytest.mark.parametrize(("error", "standing"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted")])
def test_how_a_run_ended(tmp_path: Path, error: type[BaseException], standing: str) -> None:
    out = run_folder(tmp_path, "a", "one")
    tracked(tmp_path, out, error)
    assert Ledger(tmp_path).standing("one") == (standing, out)


def test_a_run_that_lives_is_running_and_then_is_not(tmp_path: Path) -> None:
    out = run_folder(tmp_path, "a", "one")
    with track(out, Tracker(outputs=tmp_path, uri=None), name="x", experiment="x"):
        assert is_alive(out)
        assert Ledger(tmp_path).standing("one") == ("running", out)
    assert not is_alive(out)


def test_many_living_runs_are_not_waited_for_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, slept = [run_folder(tmp_path, str(number), str(number)) for number in range(20)], []
    with ExitStack() as stack:
        for out in runs:
            stack.enter_context(locked(out / "tracking" / "lock"))
        monkeypatch.setattr(time, "sleep", slept.append)
        ledger = Ledger(tmp_path)
        assert {ledger.standing(str(number))[0] for number in range(20)} == {"running"}
    assert sum(slept) == pytest.approx(3 * 0.75)


def test_who_only_looks_at_a_run_is_not_taken_for_it(tmp_path: Path) -> None:
    out = run_folder(tmp_path, "a", "one")
    tracked(tmp_path, out, KeyboardInterrupt)
    with locked(out / "tracking" / "lock") as descriptor:
        looker = threading.Timer(0.1, os.close, [os.dup(descriptor)])  # the lock is free once all are closed
        looker.start()
    assert Ledger(tmp_path).standing("one") == ("interrupted", out)
    looker.join()


@pytest.mark.parametrize("content", ["", "[]", '{"identity": "one"}'])
def test_a_record_that_cannot_be_read_disturbs_no_other_run_and_is_said_once(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, broken = run_folder(tmp_path, "a", "one", scores=True), run_folder(tmp_path, "b", "one")
    (broken / "run.json").write_text(content)
    assert Ledger(tmp_path).standing("one") == ("done", out)
    assert Ledger(tmp_path).standing("one") == ("done", out)
    assert capsys.readouterr().err.count(f"{broken / 'run.json'}: expected the record of a run") == 1
    with pytest.raises(InputError, match="a power loss may have left it so"):
        folder.record(broken)


def test_what_is_written_once_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power loss then leaves a whole record, or none."""
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    composed = compose([f"outputs={tmp_path}"])
    out = folder.create(composed, composed.identity())
    folder.write_scores(out, {})
    assert [Path(path).name.split(".")[1] for path in synced] == ["config", "run", "scores"]


def count(outputs: Path, path: Path, rounds: int) -> None:
    """Add to a number in a file, unprotected but for the claim."""
    done = 0
    while done < rounds:
        try:
            with claimed(outputs, "identity"):
                number = int(path.read_text())
                time.sleep(0.0005)
                path.write_text(str(number + 1))
                done += 1
        except LockHeldError:
            time.sleep(0.0002)


def test_a_claim_is_held_by_one_process_at_a_time_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=count, args=(tmp_path, path, 100)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert path.read_text() == "400"
    assert list((tmp_path / "active").iterdir()) == []
