"""What a plan prints before anything runs."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

import forked
from fiducial.data.dataset import Batch
from fiducial.runs import folder
from fiducial.sweeps import estimate
from fiducial.sweeps.board import Board
from fiducial.sweeps.estimate import Estimate, _to_measure
from fiducial.sweeps.job import Ending, Measured, Spec
from fiducial.sweeps.plan import Plan
from fiducial.sweeps.probe import _limited, measure, measure_for_elsewhere
from fiducial.sweeps.sweep import launcher_of


@pytest.mark.parametrize("width", [80, 140])
def test_a_plan_cuts_nothing_at_80_columns(tmp_path: Path, width: int) -> None:
    values = ("optimizer.lr=1e-3,1e-4", "model.widths=[8],[8,16,32,64,128]", "seed=0,1,2", "epochs=120")
    plan = Plan.of(["model=plain_cnn", "model.padding=same", *values, f"outputs={tmp_path}"], None)
    one = Measured(0, "done", steps=250, step_seconds=0.123, epoch_seconds=31.0)
    measured = {job.cost: one for job in plan.jobs}
    console = Console(record=True, width=width, file=io.StringIO(), highlight=False)
    Estimate(plan, measured, 2).show(console)
    lines = console.export_text().splitlines()
    heads = [word.strip() for line in lines if "setting" in line for word in line.split("  ") if word.strip()]
    assert heads == ["setting", "done", "to do", "s/step", "steps", "a run"]
    assert sum("0.123   30,000   ≈ 62 min" in line for line in lines) == 4
    words = " ".join(lines).split()
    assert words.count("lr=0.001") == words.count("lr=0.0001") == 2
    assert words.count("widths=[8,16,32,64,128]") == 2
    assert lines[-1] == "12 of 12 runs to do, 2 at once: about 6.2 h"


@pytest.mark.parametrize(
    ("num_slots", "numbers"),
    [(1, [0, 3]), (2, [0, 3]), (3, [0, 1, 3]), (9, [0, 1, 2, 3, 4, 5])],  # two kinds, of three runs each
)
def test_as_many_are_measured_at_once_as_would_run(tmp_path: Path, num_slots: int, numbers: list[int]) -> None:
    jobs = Plan.of(["model=lenet,plain_cnn", "seed=0,1,2", f"outputs={tmp_path}"], None).jobs
    assert sorted(job.number for job in _to_measure(jobs, num_slots)) == numbers


def test_the_last_kinds_are_not_measured_alone(tmp_path: Path) -> None:
    jobs = Plan.of(["model=lenet,plain_cnn,resnet18", "seed=0,1", f"outputs={tmp_path}"], None).jobs
    assert [len(_to_measure(jobs, num_slots)) for num_slots in (1, 2, 3, 4)] == [3, 4, 3, 4]


@pytest.mark.parametrize(("limit", "expected"), [(None, 40), (1, 1), (100, 40), (0.25, 10), (1.0, 40)])
def test_limits_of_the_trainer_count(limit: float | None, expected: int) -> None:
    assert _limited(40, limit) == expected


@pytest.mark.parametrize(("launcher", "num_measured"), [("local", 2), ("submitit_local", 1)])
def test_the_slower_of_those_that_are_measured_together_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str, num_measured: int
) -> None:
    ran: list[int] = []

    class StandIn:
        def __init__(self, slots: list[dict[str, str]], *_: object, **__: object) -> None:
            self.slots = slots

        def run(self, specs: Iterable[Spec], board: Board) -> None:
            for spec in specs:
                ran.append(spec.number)
                board.started(spec)
                board.ended(Measured(spec.number, "done", steps=9, step_seconds=1.0, epoch_seconds=9.0 + spec.number))

    monkeypatch.setattr(estimate, "Pool", StandIn)
    monkeypatch.setattr(estimate, "warm_up", lambda *_: None)
    plan = Plan.of(
        ["seed=0,1,2", "epochs=1", f"launcher={launcher}", "launcher.at_once=2", f"outputs={tmp_path}"], None
    )
    found = Estimate.of(plan, launcher_of(plan))
    assert len(ran) == num_measured
    assert found.at_once == 2
    assert found.measured[plan.jobs[0].cost].epoch_seconds == 8.0 + num_measured
    assert ("measured on this machine, one run at a time" in found.sentence()) == (launcher != "local")


def test_what_another_process_runs_has_a_column(tmp_path: Path) -> None:
    plan = Plan.of(["model=plain_cnn", "seed=0,1,2", f"outputs={tmp_path}"], None)
    done, running, missing = plan.jobs
    plan = replace(plan, jobs=(replace(done, standing="done"), replace(running, standing="running"), missing))
    one = Measured(0, "done", steps=250, step_seconds=0.123, epoch_seconds=31.0)
    console = Console(record=True, width=80, file=io.StringIO(), highlight=False)
    Estimate(plan, {missing.cost: one}, 2).show(console)
    head, row = (line.split() for line in console.export_text().splitlines() if "done" in line or "0.123" in line)
    assert head[1:5] == ["done", "running", "to", "do"]
    assert row[1:5] == ["1", "1", "1", "0.123"]


TINY = (
    "data.source.num_subjects=40", "data.source.size=[8,8]", "data.source.images_per_subject=1", "data.batch_size=7",
    "model.widths=[4]", "model.dense=[4]", "objective=val/loss", "tracking=none",
)  # fmt: skip


def probed(tmp_path: Path, *overrides: str, work: Callable[..., Ending] = measure) -> Ending:
    return work(Spec(0, (*TINY, *overrides, f"outputs={tmp_path}"), None, str(tmp_path), "one"), lambda _: None)


def test_one_of_several_processes_is_measured_with_its_share_of_each_batch(tmp_path: Path) -> None:
    sizes: dict[str, list[int]] = {}
    for hardware in ("cpu", "cpu_ddp"):
        with recorded_batches() as sizes[hardware]:
            found = probed(tmp_path, f"hardware={hardware}")
        assert isinstance(found, Measured), found.message
        assert found.steps == 4  # 24 training cases, seven a step
    assert max(sizes["cpu"]) == 7
    assert max(sizes["cpu_ddp"]) == 4


@contextmanager
def recorded_batches() -> Iterator[list[int]]:
    """Keep how many cases each training step had."""
    from fiducial.tasks.classification import Classification

    sizes: list[int] = []
    step = Classification.training_step

    def recording(self: Classification, batch: Batch, number: int) -> object:
        sizes.append(len(batch["label"]))
        return step(self, batch, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classification, "training_step", recording)
        yield sizes


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_only_a_plan_for_other_machines_is_measured_without_the_device_that_it_asks_for(tmp_path: Path) -> None:
    here = probed(tmp_path, "hardware=gpu")
    assert here.state == "failed"
    assert "hardware.accelerator=gpu was asked for" in here.message
    assert probed(tmp_path, "hardware=gpu", work=measure_for_elsewhere).state == "done"


@pytest.mark.slow
def test_the_command_measures_and_prints_a_plan_and_keeps_nothing(tmp_path: Path) -> None:
    overrides = [*TINY, "seed=0,1", "model.widths=[4],[8]", "epochs=3", "hardware=cpu", "launcher.at_once=2"]
    overrides.append(f"outputs={tmp_path / 'outputs'}")
    first = Plan.of(overrides, None).jobs[0]
    out = folder.create(first.composed, first.identity)
    (out / folder.SCORES).write_text(json.dumps({"scores": {}}))
    done = forked.run(
        [sys.executable, "-m", "fiducial", "train", "-m", *overrides, "--plan"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if "widths=" in line}
    counts = {"widths=[4]": ["1", "1"], "widths=[8]": ["2"]}  # done and to do; nothing is done of the second
    for setting, counted in counts.items():
        assert rows[setting][: len(counted)] == counted
        step_seconds, steps, about, span, unit = rows[setting][len(counted) :]
        assert 0 < float(step_seconds) < 60
        assert (steps, about) == ("12", "≈")  # 24 training cases, seven a step, three times
        assert int(span) >= 2  # the end of a run alone is taken for so long
        assert unit in ("s", "min")
    assert re.fullmatch(r"3 of 4 runs to do, 2 at once: about \d+ (s|min)", done.stdout.splitlines()[-1])
    assert "started   measure widths=[4] seed=1" in done.stderr  # no run: only some steps of one
    assert list(folder.each(tmp_path / "outputs")) == [out]
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["runs"]
