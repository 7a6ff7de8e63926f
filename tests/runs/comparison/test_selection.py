"""Runs are found by folder, name, id, sweep, experiment and filter; what is not there is named."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fiducial.errors import InputError
from fiducial.runs import folder
from fiducial.runs.compare import Question, compare
from fiducial.runs.comparison.selection import Finder, Selection, select
from fiducial.tracking import Tracker, track

Write = Callable[..., Path]


def names(outputs: Path, **asked: Any) -> list[str]:
    members, _ = select(Selection(outputs, **asked), Finder(outputs))
    return sorted(member.name for member in members)


def test_by_folder_last_part_and_id_each_once(write: Write, outputs: Path) -> None:
    first, second = write("a"), write("b")
    (second / "tracking").mkdir()
    (second / "tracking" / "delivered.json").write_text(json.dumps({"uri": "x", "run_id": "f" * 32}))
    assert names(outputs, runs=[str(first), first.name, "f" * 32]) == [first.name, second.name]


def test_a_name_that_there_is_not(write: Write, outputs: Path) -> None:
    run = write("a")
    with pytest.raises(InputError, match=f"did you mean {run.name}"):
        names(outputs, runs=[run.name[:-1]])


def test_a_name_that_two_runs_have(write: Write, outputs: Path) -> None:
    run = write("a")
    again = outputs / "runs" / "other" / run.name
    again.parent.mkdir()
    run.rename(again)
    write("b").rename(run)
    with pytest.raises(InputError, match="several runs"):
        names(outputs, runs=[run.name])
    assert names(outputs, runs=[str(run), str(again)]) == [run.name] * 2


def test_an_unfinished_run_is_refused_by_name_and_left_out_of_an_experiment(write: Write, outputs: Path) -> None:
    done, broken = write("a"), write("b", finished=False)
    with pytest.raises(InputError, match="has not come to its end"):
        names(outputs, runs=[broken.name])
    members, notes = select(Selection(outputs, experiment="digits"), Finder(outputs))
    assert [member.name for member in members] == [done.name]
    assert notes == ["left out: 1 unfinished run"]


def early(run: Path, name: str, key: str) -> Path:
    """Make a run one of an early version, whose files said less."""
    content = json.loads((run / name).read_text())
    del content[key]
    (run / name).write_text(json.dumps(content))
    return run


@pytest.mark.parametrize(("name", "key"), [("run.json", "settings"), ("scores.json", "objective")])
def test_a_run_that_does_not_say_enough_is_left_out_and_named(name: str, key: str, write: Write, outputs: Path) -> None:
    done, lacking = write("a"), early(write("b"), name, key)
    members, notes = select(Selection(outputs, experiment="digits"), Finder(outputs))
    assert [member.name for member in members] == [done.name]
    why = f"run {lacking} cannot be compared: its {name} lacks the {key}"
    assert len(notes) == 1
    assert notes[0].startswith(f"left out: {why}")
    for asked in ({"runs": [lacking.name]}, {"experiment": "digits"}):
        with pytest.raises(InputError, match=re.escape(why)):
            names(outputs, **asked)
        (done / "run.json").unlink(missing_ok=True)


def test_by_experiment(write: Write, outputs: Path) -> None:
    run = write("a", study="moles: first try")
    write("b", study="other")
    assert names(outputs, experiment="moles: first try") == [run.name]
    with pytest.raises(InputError, match="did you mean moles: first try"):
        names(outputs, experiment="moles: first tri")


def test_by_sweep_with_the_runs_that_were_done_before(write: Write, outputs: Path) -> None:
    sweep = outputs / "sweeps" / "digits-1234"
    sweep.mkdir(parents=True)
    before, started = write("a", identity="one"), write("b", identity="two", sweep="../../../sweeps/digits-1234")
    write("c", identity="three", sweep="../../../sweeps/digits-9999")
    (sweep / "sweep.json").write_text(json.dumps({"keys": ["model"], "jobs": [{"identity": "one"}]}))
    (write("d") / "run.json").write_text("")  # a power loss came between
    assert names(outputs, sweep="digits-1234") == names(outputs, sweep=str(sweep)) == [before.name, started.name]
    with pytest.raises(InputError, match="did you mean digits-1234"):
        names(outputs, sweep="digits-1243")


def test_by_search_with_the_runs_that_it_found_done(write: Write, outputs: Path) -> None:
    found, _ = write("a"), write("b")
    place = outputs / "sweeps" / "search"
    place.mkdir(parents=True)
    content = {"search": {}, "runs": [os.path.relpath(found, place)]}
    (place / "sweep.json").write_text(json.dumps(content))
    assert names(outputs, sweep="search") == [found.name]


def test_nothing_is_asked_for(outputs: Path) -> None:
    with pytest.raises(InputError, match="expected finished runs"):
        names(outputs)


def test_a_filter_needs_a_store(write: Write, outputs: Path) -> None:
    write("a")
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI"):
        names(outputs, filter="params.model = 'a'")


@pytest.mark.slow
def test_by_filter_and_from_a_store_alone(
    write: Write, predictions: Any, came_of: Any, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is tracked for real; then its folder is gone, as on another machine."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    labels = np.arange(20) % 2
    runs = {}
    for model, shift in (("a", 0.3), ("b", 0.1)):
        run = runs[model] = write(model, objective=0.5 + shift)
        predictions(run, np.clip(0.35 + shift * labels + np.linspace(0, 0.3, 20), 0, 1), labels)
        came_of(run, commit=model * 40, content=model * 64)
        _track(run, Tracker(outputs=outputs, system_metrics_seconds=0), objective=0.5 + shift)
    assert names(outputs, filter="params.model = 'a'") == [runs["a"].name]
    other = write("a", objective=0.1)  # mine, of the name of a run that another user delivered to the same server
    runs["a"].rename(outputs / "theirs")
    other.rename(runs["a"])
    assert len(names(outputs, filter="params.model = 'a'")[0]) == 32
    shutil.rmtree(runs["a"])
    (outputs / "theirs").rename(runs["a"])
    assert names(outputs, filter="params.model like '%'", experiment="digits") == sorted(r.name for r in runs.values())
    assert names(outputs, filter="params.model like '%'", experiment="digits", runs=[runs["a"].name])
    with pytest.raises(InputError, match="MLflow's language"):
        names(outputs, filter="model is a")
    here = compare(Question(Selection(outputs, experiment="digits")))
    known = _settings(outputs, "params.model = 'a'")
    for run in runs.values():
        (run / folder.RECORD).unlink()
    assert _settings(outputs, "params.model = 'a'") == known
    there = compare(Question(Selection(outputs, filter="params.model like '%'")))
    assert there.notes == here.notes
    assert sum("different" in note for note in here.notes) == 2  # code, and content of the data
    assert there.reference.label == here.reference.label == "model=a"
    assert there.reference.objective == pytest.approx(0.8)
    assert there.others[0].tests["auroc"].difference == here.others[0].tests["auroc"].difference
    with pytest.raises(InputError, match="no run of 'digits'"):
        names(outputs, experiment="digits")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{outputs / 'mlflow.db'}")
    assert names(outputs, experiment="digits") == sorted([*there.reference.runs, *there.others[0].runs])
    by_id = compare(Question(Selection(outputs, [*there.reference.runs, *there.others[0].runs])))
    assert by_id.others[0].tests["auroc"].p == here.others[0].tests["auroc"].p


def _settings(outputs: Path, text: str) -> dict[str, str]:
    """Return the settings of the run that a filter matches, from its folder or from the store."""
    (member,), _ = select(Selection(outputs, filter=text), Finder(outputs))
    return dict(member.settings)


def _track(out: Path, tracker: Tracker, *, objective: float) -> None:
    """Log what a training logs and a comparison needs."""
    record = folder.record(out)
    with track(out, tracker, name="made-up", experiment="digits") as run:
        run.log_params({**record.choices, **record.settings, "parameters": 123})
        run.set_tags({"fiducial.objective": "val/auroc", "fiducial.folder": out.name})
        origin = json.loads((out / "tracking" / "files" / "provenance.json").read_text())
        run.set_tags({"fiducial.version": origin["packages"]["fiducial"], "mlflow.source.git.commit": origin["commit"]})
        run.log_dataset("made_up", json.loads((out / "tracking" / "files" / "data.json").read_text())["sha256"], {})
        run.log_metrics({"val/auroc": 0.1}, 2)
        run.log_metrics({"val/auroc": objective}, 3)
        run.log_metrics({"selected_epoch": 3.0}, 10)
        run.log_file(out / folder.PREDICTIONS)
        run.log_file(out / folder.SCORES)
