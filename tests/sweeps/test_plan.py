from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from fiducial.config import compose
from fiducial.errors import InputError
from fiducial.runs import folder
from fiducial.sweeps import sweep as sweeping
from fiducial.sweeps.job import Ending, Spec
from fiducial.sweeps.ledger import PRUNED
from fiducial.sweeps.plan import Plan
from fiducial.sweeps.pool import Watch
from fiducial.sweeps.sweep import IncompleteError, sweep
from fiducial.tracking import liveness
from fiducial.tracking.journal import History
from fiducial.tracking.liveness import alive, locked


def plan(outputs: Path, *overrides: str) -> Plan:
    return Plan.of([*overrides, f"outputs={outputs}"], None)


def test_every_combination_is_a_job_with_a_name_of_its_own(tmp_path: Path) -> None:
    found = plan(tmp_path, "model=lenet,plain_cnn", "optimizer.lr=0.1,0.01", "seed=0,1", "epochs=3")
    assert len(found.jobs) == len({job.identity for job in found.jobs}) == len({job.title for job in found.jobs}) == 8
    assert found.jobs[0].title == "model=lenet lr=0.1 seed=0"
    assert found.name == "model × lr, 2 seeds"
    assert found.params() == {"model": "lenet, plain_cnn", "optimizer.lr": "0.1, 0.01", "seed": "0, 1"}
    assert {job.setting for job in found.jobs} == {
        "model=lenet lr=0.1", "model=lenet lr=0.01", "model=plain_cnn lr=0.1", "model=plain_cnn lr=0.01",
    }  # fmt: skip
    lr = {job.composed.cfg.optimizer.lr for job in found.jobs}
    assert lr == {0.1, 0.01}


def test_the_same_jobs_are_the_same_sweep_whatever_their_order_and_launcher(tmp_path: Path) -> None:
    first = plan(tmp_path, "seed=0,1", "optimizer.lr=0.1,0.01")
    assert plan(tmp_path, "optimizer.lr=0.01,0.1", "seed=1,0", "launcher.at_once=1").out == first.out
    assert plan(tmp_path, "seed=0,1,2", "optimizer.lr=0.1,0.01").out != first.out


def test_a_job_takes_along_what_its_overrides_would_give(tmp_path: Path) -> None:
    for study in ([], ["study=mine"]):
        for spec in plan(tmp_path, "optimizer.lr=0.1,0.01", *study).specs():
            assert spec.composed is not None
            taken, again = pickle.loads(pickle.dumps(spec.composed)), compose(spec.overrides)
            assert taken.overrides == again.overrides == spec.overrides
            assert taken.resolved() == again.resolved()
            assert taken.identity() == again.identity()


def test_only_what_is_missing_is_to_be_run(tmp_path: Path) -> None:
    jobs = plan(tmp_path, "seed=0,1,2").jobs
    out = folder.create(jobs[1].composed, jobs[1].identity)
    (out / folder.SCORES).write_text("{}")
    again = plan(tmp_path, "seed=0,1,2")
    assert [job.standing for job in again.jobs] == ["missing", "done", "missing"]
    assert [spec.number for spec in again.specs()] == [0, 2]
    spec = next(again.specs())
    assert spec.overrides == ("seed=0", f"outputs={tmp_path}", "study=phantom")
    assert len(again) == 2


def test_a_run_that_was_killed_before_its_last_word_is_to_go_on(tmp_path: Path) -> None:
    jobs = plan(tmp_path, "seed=0").jobs
    out = folder.create(jobs[0].composed, jobs[0].identity)
    (out / folder.SCORES).write_text("{}")
    events = [{"event": "run", "id": "0" * 32}, {"event": "status", "status": "KILLED", "time": 0}]
    journal = out / "tracking" / "journal.jsonl"
    journal.parent.mkdir()
    journal.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert [job.standing for job in plan(tmp_path, "seed=0").jobs] == ["interrupted"]
    journal.write_text(journal.read_text().replace("KILLED", "FINISHED"))
    assert [job.standing for job in plan(tmp_path, "seed=0").jobs] == ["done"]


def test_what_a_search_has_pruned_is_to_be_run(tmp_path: Path) -> None:
    jobs = plan(tmp_path, "seed=0,1").jobs
    out = folder.create(jobs[1].composed, jobs[1].identity)
    (out / PRUNED).write_text("{}")
    again = plan(tmp_path, "seed=0,1")
    assert [job.standing for job in again.jobs] == ["missing", "pruned"]
    assert [spec.number for spec in again.specs()] == [0, 1]


def test_what_is_run_by_another_process_is_left_to_it_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "PAUSES", (0.0,))
    jobs = plan(tmp_path, "seed=0,1").jobs
    out = folder.create(jobs[1].composed, jobs[1].identity)
    with locked(out / "tracking" / "lock"):
        found = plan(tmp_path, "seed=0,1")
        assert [job.standing for job in found.jobs] == ["missing", "running"]
        assert len(found) == 1
        assert found.elsewhere() == 1
        alone = plan(tmp_path, "seed=1")
        with pytest.raises(IncompleteError, match="being run by another process: 1; the same command again"):
            sweep(alone)
    assert found.elsewhere() == 1  # it was left in the middle
    (out / folder.SCORES).write_text("{}")
    assert found.elsewhere() == 0


def test_what_is_kept_of_a_plan_has_no_secrets(tmp_path: Path) -> None:
    found = plan(tmp_path, "seed=0,1")
    given = {"data.source.token": "hunt er2", "data.source.uri": "http://me:hunter2@host", "model.class_token": "true"}
    title = "token=hunter2 seed=0"
    jobs = tuple(replace(job, title=title, setting=title, values=given | job.values) for job in found.jobs)
    kept = replace(found, jobs=jobs).content()
    assert "er2" not in json.dumps(kept)
    assert kept["keys"] == ("seed",)
    assert kept["jobs"][1] == {
        "number": 1,
        "title": "token=*** seed=0",
        "setting": "token=*** seed=0",
        "identity": found.jobs[1].identity,
        "values": {
            "data.source.token": "***",
            "data.source.uri": "http://***@host",
            "model.class_token": "true",
            "seed": "1",
            "outputs": str(tmp_path),
        },
    }
    assert jobs[1].values["data.source.token"] == "hunt er2"  # which the run itself needs


def test_settings_that_say_the_same_are_run_once(tmp_path: Path) -> None:
    found = plan(tmp_path, "optimizer.lr=0.1,1e-1,0.10", "seed=0,1")
    assert len(found.jobs) == 2
    assert found.num_repeated == 4


def finish(jobs: Plan) -> None:
    """Write what a finished run leaves behind, for every job of a plan."""
    for job in jobs.to_run:
        out = folder.create(job.composed, job.identity)
        interval = {"value": 0.7, "low": 0.6, "high": 0.8, "num_resamples_used": 1000}
        objective = {"name": "val/auroc", "value": 0.8 + job.number / 10}
        content = {"epoch": 0, "subjects": 30, "objective": objective, "scores": {"auroc": interval}}
        (out / folder.SCORES).write_text(json.dumps(content))


def test_a_sweep_that_others_finished_is_kept_as_if_it_had_ended_itself(tmp_path: Path) -> None:
    found = plan(tmp_path, "seed=0,1", "tracking=none", "study=chest/pilot")
    finish(found)
    again = plan(tmp_path, "seed=0,1", "tracking=none", "study=chest/pilot")
    sweep(again)
    assert again.out.parent == tmp_path / "sweeps"
    assert json.loads((again.out / "sweep.json").read_text())["keys"] == ["seed"]
    rows = list(csv.DictReader((again.out / "summary.csv").read_text().splitlines()))
    assert {row["score"]: (row["runs"], float(row["mean"])) for row in rows}["val/auroc"] == ("2", pytest.approx(0.85))
    assert (again.out / "figures" / "settings.png").is_file()
    kept = json.loads((again.out / "sweep.json").read_text())["runs"]
    assert {(again.out / run).resolve() for run in kept} == {out for _, _, out in again.finished()}
    history = History.of(again.out / "tracking" / "journal.jsonl")
    assert history.status == "FINISHED"
    assert history.run is not None
    assert history.run["experiment"] == "chest/pilot"
    sweep(plan(tmp_path, "seed=0,1", "tracking=none", "study=chest/pilot"))
    after = History.of(again.out / "tracking" / "journal.jsonl")
    assert after == history  # kept once


def test_a_sweep_that_another_process_leads_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = plan(tmp_path, "seed=0,1", "tracking=none")

    class Launcher:
        def slots(self, num_jobs: int | None) -> list[dict[str, str]]:
            return [{}]

        def stream(self, jobs: Iterable[Spec], watch: Watch, *, sweep: Path, num_jobs: int | None = None) -> None:
            for spec in jobs:
                watch.started(spec)
            finish(found)
            for job in found.jobs:
                watch.ended(Ending(job.number, "done"))

    monkeypatch.setattr(sweeping, "launcher_of", lambda jobs: Launcher())
    with alive(found.out):
        sweep(found)
    said = capsys.readouterr()
    assert "another process leads this sweep" in said.err
    assert "val/auroc" in said.out
    assert sorted(path.name for path in found.out.iterdir()) == ["tracking"]  # with the lock, and nothing of ours
    assert not (found.out / "tracking" / "journal.jsonl").exists()


def test_data_sets_side_by_side_share_one_experiment(tmp_path: Path) -> None:
    assert plan(tmp_path, "data=phantom,phantom_3d", "model=plain_cnn").study == "phantom-and-phantom_3d"
    assert plan(tmp_path, "data=phantom,phantom_3d", "model=plain_cnn", "study=mine").study == "mine"


def test_kinds_of_run_that_take_equally_long_are_measured_once(tmp_path: Path) -> None:
    found = plan(tmp_path, "optimizer.lr=0.1,0.01", "seed=0,1", "model.widths=[4],[8]", "epochs=2,3")
    assert len({job.cost for job in found.jobs}) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["seed=0,1", "model=lenet,resnet81"], "resnet18"),
        (["outputs=a,b"], "one folder"),
        (["optimizer.lr=interval(0,1)"], "interval"),
    ],
)
def test_a_job_that_cannot_run_stops_the_plan(tmp_path: Path, wrong: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan.of(wrong, None)
