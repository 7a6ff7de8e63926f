"""What a sweep and a search leave in MLflow: commands as a user gives them, looked at through its client."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

import forked
from fiducial.runs import folder
from fiducial.tracking.tracker import DATABASE, embedded_uri

SMALL = (
    "data.source.num_subjects=40", "data.source.size=[16,16]", "data.batch_size=8", "model.widths=[4]", "epochs=1",
    "hardware=cpu", "hardware.threads=1", "tracking.system_metrics_seconds=0", "tracking.flush_seconds=0.3", "name=run",
)  # fmt: skip
Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Make:
    """Return what makes folders whose embedded store is there already."""

    def made(name: str) -> Path:
        place = tmp_path_factory.mktemp(name)
        (place / "outputs").mkdir()
        shutil.copy(empty_database, place / "outputs" / DATABASE)
        return place

    return made


def give(place: Path, *arguments: str) -> str:
    """Give a command; return what it printed."""
    command = [sys.executable, "-m", "fiducial", "train", "-m", *SMALL, *arguments]
    done = forked.run(command, cwd=place, capture_output=True, text=True, timeout=300, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def client(place: Path) -> MlflowClient:
    return MlflowClient(embedded_uri(place / "outputs"))


def in_mlflow(place: Path) -> dict[str, Run]:
    """Return all runs in MLflow by their names, each of which is there once."""
    found = client(place).search_runs([one.experiment_id for one in client(place).search_experiments()])
    runs = {run.info.run_name: run for run in found}
    assert len(runs) == len(found)
    assert {run.info.status for run in found} == {"FINISHED"}
    return runs


def children(runs: dict[str, Run], parent: str) -> list[str]:
    """Return the names of the runs that are nested below another one."""
    above = runs[parent].info.run_id
    return sorted(name for name, run in runs.items() if run.data.tags.get("mlflow.parentRunId") == above)


def artifacts(place: Path, run: Run, where: str = "") -> set[str]:
    return {file.path for file in client(place).list_artifacts(run.info.run_id, where)}


def artifact(place: Path, run: Run, name: str) -> Path:
    return Path(client(place).download_artifacts(run.info.run_id, name))


def is_picture(path: Path) -> bool:
    with Image.open(path) as picture:
        return picture.format == "PNG" and min(picture.size) > 100


@pytest.fixture(scope="module")
def grid(made: Make) -> Path:
    """Return the place of a sweep over two seeds, and of one over two rates that takes over its runs."""
    place = made("grid")
    give(place, "seed=0,1", "optimizer.lr=0.01")
    assert children(in_mlflow(place), "2 seeds") == ["seed=0", "seed=1"]
    give(place, "seed=0,1", "optimizer.lr=0.01,0.1")
    assert "nothing to run" in give(place, "seed=0,1", "optimizer.lr=0.01")  # which changes nothing
    return place


@pytest.mark.slow
def test_the_newest_sweep_shows_all_of_its_runs_named_by_what_differs_there(grid: Path) -> None:
    runs = in_mlflow(grid)
    assert children(runs, "lr, 2 seeds") == ["seed=0 lr=0.01", "seed=0 lr=0.1", "seed=1 lr=0.01", "seed=1 lr=0.1"]
    assert children(runs, "2 seeds") == []
    for name in children(runs, "lr, 2 seeds"):
        assert runs[name].data.params["optimizer.lr"] == name.rpartition("=")[2]
    assert list((grid / "outputs" / "active").glob("*.json")) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), [("2 seeds", 2), ("lr, 2 seeds", 4)])
def test_the_parent_of_a_sweep_has_what_came_out(grid: Path, name: str, number: int) -> None:
    run = in_mlflow(grid)[name]
    assert artifacts(grid, run) == {"figures", "summary.csv", "sweep.json"}
    assert artifacts(grid, run, "figures") == {"figures/settings.png"}
    assert is_picture(artifact(grid, run, "figures/settings.png"))
    content = json.loads(artifact(grid, run, "sweep.json").read_text())
    assert (len(content["jobs"]), len(content["runs"])) == (number, number)
    out = grid / "outputs" / "sweeps" / run.data.tags["fiducial.sweep"]
    objective = {place: folder.scores(out / place)["objective"]["value"] for place in content["runs"]}
    best = max(objective, key=objective.__getitem__)
    assert run.data.metrics == {"runs/done": number, "best/val/auroc": objective[best]}
    assert objective[os.path.join(Path(best).parent, run.data.tags["fiducial.best_run"])] == objective[best]
    assert run.data.tags["fiducial.best"] in {job["title"] for job in content["jobs"]}
    assert "fiducial.front" not in run.data.tags
    rows = list(csv.DictReader(artifact(grid, run, "summary.csv").read_text().splitlines()))
    shown = {row["setting"]: (int(row["runs"]), float(row["mean"])) for row in rows if row["score"] == "val/auroc"}
    assert sum(runs for runs, _ in shown.values()) == number
    assert sum(runs * mean for runs, mean in shown.values()) == pytest.approx(sum(objective.values()), rel=1e-4)


@pytest.fixture(scope="module")
def search(made: Make) -> Path:
    """Return the place of a search for two objectives."""
    place = made("search")
    widths = "model.widths=[2],[4],[8]"
    give(place, "search=grid", "search.objectives=[val/loss,parameters]", widths, "study=mine")
    return place


@pytest.mark.slow
def test_the_parent_of_a_search_has_its_trials_its_front_and_its_pictures(search: Path) -> None:
    runs = in_mlflow(search)
    trials = children(runs, "grid: widths")
    assert trials == ["widths=[2]", "widths=[4]", "widths=[8]"]
    run = runs["grid: widths"]
    assert artifacts(search, run) == {"figures", "summary.csv", "sweep.json"}
    pictures = {"settings", "history", "importance", "parallel_coordinates", "pareto_front"}
    assert artifacts(search, run, "figures") == {f"figures/{name}.png" for name in pictures}
    assert all(is_picture(artifact(search, run, f"figures/{name}.png")) for name in pictures)
    loss = {name: loss_of(search, runs[name]) for name in trials}
    best = min(loss, key=loss.__getitem__)
    assert run.data.metrics == {"runs/done": 3, "best/val/loss": loss[best]}
    assert run.data.tags["fiducial.best"] == best
    assert run.data.tags["fiducial.best_run"] == runs[best].data.tags["fiducial.folder"]
    weights = {name: int(runs[name].data.params["parameters"]) for name in trials}
    assert sorted(weights, key=weights.__getitem__) == trials
    front = {
        one for one in trials if not any(loss[other] <= loss[one] for other in trials if weights[other] < weights[one])
    }
    assert set(run.data.tags["fiducial.front"].split("; ")) == front
    assert run.data.params["search.objectives"] == "['val/loss', 'parameters']"
    content = json.loads(artifact(search, run, "sweep.json").read_text())
    assert content["search"]["objectives"] == ["val/loss", "parameters"]
    assert {Path(place).name for place in content["runs"]} == {
        runs[name].data.tags["fiducial.folder"] for name in trials
    }
    rows = csv.DictReader(artifact(search, run, "summary.csv").read_text().splitlines())
    means = {
        (row["setting"], row["score"]): float(row["mean"]) for row in rows if row["score"] in ("val/loss", "parameters")
    }
    for name in trials:
        assert means[name, "val/loss"] == pytest.approx(loss[name], rel=1e-4)
        assert means[name, "parameters"] == weights[name]


def loss_of(place: Path, run: Run) -> float:
    """Return the loss of validation at the epoch that a run selected, of which there is one."""
    (value,) = [point.value for point in client(place).get_metric_history(run.info.run_id, "val/loss")]
    return value
