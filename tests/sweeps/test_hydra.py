"""Hydra itself calls our launcher and our sweeper: with its own as the others."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf

import forked
from fiducial.errors import InputError
from fiducial.sweeps import worker
from fiducial.sweeps.app import job
from fiducial.sweeps.job import Ending, RunError
from fiducial.sweeps.search.sweeper import OptunaSweeper, _ending
from fiducial.tracking.tracker import DATABASE

SMALL = [
    "++data.source.num_subjects=40", "++data.source.size=[8,8]", "++data.batch_size=4", "++model.widths=[4]",
    "++tracking.system_metrics_seconds=0", "++hardware.threads=1", "objective=val/loss", "hardware=cpu",
    "study=hydra", "name=run",
]  # fmt: skip
SEARCH = [
    "hydra/sweeper=fiducial",
    "+hydra.sweeper.sampler=random",
    "+hydra.sweeper.study=study",
    "tracking=none",
    "epochs=1",
]


@pytest.fixture
def place(tmp_path: Path, empty_database: Path) -> Path:
    """Return a folder whose embedded store is there already: making one takes seconds."""
    (tmp_path / "outputs").mkdir()
    shutil.copy(empty_database, tmp_path / "outputs" / DATABASE)
    return tmp_path


def app(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fiducial.sweeps.app", "-m", *arguments, *SMALL]
    return forked.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def tracked(folder: Path) -> list[tuple[str, str]]:
    """Return name and status of each run in MLflow; none of them belongs to another."""
    with closing(sqlite3.connect(folder / "outputs" / DATABASE)) as database:
        assert not database.execute("SELECT * FROM tags WHERE key = 'mlflow.parentRunId'").fetchall()
        return sorted(database.execute("SELECT name, status FROM runs").fetchall())


def objectives(folder: Path) -> dict[str, float]:
    """Return the objective of each finished run, by its folder."""
    found = {path.parent: json.loads(path.read_text()) for path in folder.glob("outputs/runs/run/*/scores.json")}
    return {str(out.relative_to(folder / "outputs")): scores["objective"]["value"] for out, scores in found.items()}


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'outputs' / 'sweeps' / 'search.db'}")
    try:
        return optuna.load_study(study_name="study", storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


@pytest.mark.slow
def test_hydras_sweeper_with_our_launcher(place: Path) -> None:
    """One run fails, of an option of the user's own; the app does so, and the other run is done."""
    shutil.copy(Path(__file__).with_name("misbehave.py"), place)
    (place / "mine" / "loss").mkdir(parents=True)
    (place / "mine" / "loss" / "misbehave.yaml").write_text(
        "_target_: misbehave.Misbehave\ncontract: {head: softmax}\n"
    )
    own = ("--config-dir=mine", "hydra/launcher=fiducial", "loss=misbehave", "epochs=4")
    failed = app(place, *own, "++loss.how=raise,fine")
    assert failed.returncode == 1
    assert "the run is not done" in failed.stderr
    assert "RuntimeError: the loss is" in failed.stderr
    assert tracked(place) == [("how=fine", "FINISHED"), ("how=raise", "FAILED")]
    assert len(objectives(place)) == 1
    assert len(list(place.glob("multirun/*/*/logs/[01].log"))) == 2

    (place / "mended").touch()
    again = app(place, *own, "++loss.how=raise,fine")
    assert again.returncode == 0, again.stderr
    assert tracked(place) == [("how=fine", "FINISHED"), ("how=raise", "FINISHED")]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["fiducial", "basic"])
def test_our_sweeper_with_either_launcher(launcher: str, tmp_path: Path) -> None:
    """Settings that Hydra alone would not take are searched, too."""
    space = ("optimizer.lr=tag(log, interval(1e-3,1e-1))", "+model.dropout=0,0.5")
    command = (f"hydra/launcher={launcher}", *SEARCH, "+hydra.sweeper.batch=2", "+hydra.sweeper.trials=3", *space)
    done = app(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    found = {trial.user_attrs["folder"]: trial.value for trial in trials(tmp_path)}
    assert found == objectives(tmp_path)
    assert len(found) == 3


@pytest.mark.slow
def test_a_search_in_which_a_run_fails_fails(tmp_path: Path) -> None:
    missing = ("hardware.accelerator=gpu", "++hardware.devices=64", "optimizer.lr=interval(0,1)")
    done = app(tmp_path, *SEARCH, "+hydra.sweeper.trials=2", *missing)
    assert done.returncode == 1
    assert "2 of 2 runs are not done" in done.stderr
    assert [trial.state.name for trial in trials(tmp_path)] == ["FAIL", "FAIL"]


def test_hydra_finds_them() -> None:
    assert "FiducialLauncher" in {one.__name__ for one in Plugins.instance().discover(Launcher)}
    assert "FiducialSweeper" in {one.__name__ for one in Plugins.instance().discover(Sweeper)}


def returned(value: Any, status: JobStatus = JobStatus.COMPLETED) -> JobReturn:
    one = JobReturn(status=status)
    one.return_value = value
    return one


def test_what_came_of_a_job_of_hydras() -> None:
    stopped = Ending(3, "stopped", "there", "stopped")
    assert _ending(returned(Ending(0, "done", "there"))) == Ending(0, "done", "there")
    assert _ending(returned(RunError(stopped), JobStatus.FAILED)) == stopped
    assert _ending(returned(OSError("disk full"), JobStatus.FAILED)) == Ending(
        0, "failed", message="OSError: disk full"
    )
    with pytest.raises(InputError, match=r"expected an app whose function returns how a run ended.* float"):
        _ending(returned(0.5))


@pytest.mark.parametrize(("state", "error"), [("stopped", KeyboardInterrupt), ("elsewhere", RunError)])
def test_a_job_that_is_not_done_raises(state: Any, error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is meant for all jobs, which Hydra's launcher runs one after the other."""
    known = {"job": {}, "overrides": {"task": []}, "runtime": {"config_sources": []}}
    monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create(known))
    monkeypatch.setattr(worker, "execute", lambda spec: Ending(spec.number, state))
    with pytest.raises(error):
        job(OmegaConf.create())


def test_a_pruner_is_not_for_hydras_launchers() -> None:
    with pytest.raises(InputError, match="end no run early; leave it out"):
        OptunaSweeper(pruner="median").sweep(["optimizer.lr=interval(0,1)"])
