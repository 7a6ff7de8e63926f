"""A run that is worse than the others ends early, and says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from fiducial.errors import InputError
from fiducial.runs import outcome
from fiducial.sweeps import worker
from fiducial.sweeps.job import Pruning
from fiducial.sweeps.pruning import PrunedError, Pruner
from fiducial.sweeps.search.search import Search
from fiducial.sweeps.search.sweeper import find
from fiducial.sweeps.worker import execute
from fiducial.tracking.journal import History, read

TINY = (
    "hardware=cpu",
    "hardware.threads=1",
    "tracking=none",
    "data.source.num_subjects=40",
    "data.source.images_per_subject=1",
    "data.source.size=[16,16]",
    "data.batch_size=5",
    "objective=val/loss",
    "model.widths=[4]",
    "model.dense=[8]",
    "epochs=3",
)


def val_losses(event: dict[str, Any]) -> list[int]:
    """Return the steps of the objective in an event of a journal."""
    return [step for key, _, _, step in event.get("points", ()) if key == "val/loss"]


def epoch(number: int, value: float, name: str = "val/loss") -> Any:
    """Return what a callback sees of the trainer at the end of an epoch."""
    return SimpleNamespace(callback_metrics={name: value}, current_epoch=number - 1, max_epochs=10, is_global_zero=True)


@pytest.fixture
def searching(tmp_path: Path) -> Callable[..., Search]:
    def searching(pruner: str, *lines: str) -> Search:
        search = find(
            [
                *TINY,
                "search=random",
                f"search.pruner={pruner}",
                f"outputs={tmp_path}",
                "optimizer.lr=interval(1e-3,1e-2)",
                *lines,
            ]
        )
        assert search is not None
        return search

    return searching


def test_the_median_decides(searching: Callable[..., Search]) -> None:
    search = searching("{_target_:optuna.pruners.MedianPruner,n_startup_trials:2}", "epochs=9")
    pruners = {}
    for spec in islice(search.specs(), 4):
        assert spec.pruning is not None
        pruners[spec.number] = Pruner(spec.pruning)
    for number, losses in {0: (0.9, 0.5), 1: (0.9, 0.7)}.items():
        for step, value in enumerate(losses, start=1):
            pruners[number].on_train_epoch_end(epoch(step, value), None)  # type: ignore[arg-type]
        search.trials.tell(number, [losses[-1]])
    pruners[2].on_train_epoch_end(epoch(2, 0.59), None)  # type: ignore[arg-type] # better than the median, 0.6
    with pytest.raises(PrunedError, match=r"pruned after epoch 2 at 0.61"):
        pruners[3].on_train_epoch_end(epoch(2, 0.61), None)  # type: ignore[arg-type]
    reported = {trial.number: trial.intermediate_values for trial in search.trials}
    assert reported == {0: {0: 0.9, 1: 0.5}, 1: {0: 0.9, 1: 0.7}, 2: {1: 0.59}, 3: {1: 0.61}}
    search.close()


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["hyperband", "halving"])
def test_a_run_asks_with_the_pruner_of_its_search(pruner: str, searching: Callable[..., Search]) -> None:
    search = searching(pruner, "search.trials=12", "epochs=5")
    stopped = 0
    for spec in search.specs():
        assert spec.pruning is not None
        own = Pruner(spec.pruning)
        try:
            for step in range(1, 6):
                own.on_train_epoch_end(epoch(step, 1 + spec.number / step), None)  # type: ignore[arg-type]
            search.trials.tell(spec.number, [1.0 + spec.number])
        except PrunedError:
            stopped += 1
            search.trials.tell(spec.number, None, pruned=True)
    assert 0 < stopped < 12
    assert sum(trial.state == TrialState.PRUNED for trial in search.trials) == stopped
    search.close()


def test_an_epoch_is_reported_once_and_an_undefined_one_never(searching: Callable[..., Search]) -> None:
    search = searching("median", "epochs=9")
    (spec,) = islice(search.specs(), 1)
    assert spec.pruning is not None
    for value in (0.5, 0.4):  # the second is of a run that was killed and repeats the epoch
        Pruner(spec.pruning).on_train_epoch_end(epoch(1, value), None)  # type: ignore[arg-type]
    own = Pruner(spec.pruning)
    own.on_train_epoch_end(epoch(2, float("nan")), None)  # type: ignore[arg-type]
    own.on_train_epoch_end(epoch(3, 0.1, "val/auroc"), None)  # type: ignore[arg-type]
    assert [trial.intermediate_values for trial in search.trials] == [{0: 0.5}]
    search.close()


def test_a_database_that_is_gone_costs_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = Pruner(Pruning(f"sqlite:///{tmp_path}/no/such.db", "study", 0, "val/loss", {}))
    gone.on_train_epoch_end(epoch(1, 0.5), None)  # type: ignore[arg-type]
    assert "epoch 1 could not be told to the search" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The `srun` command")  # Lightning's advice on a machine with SLURM
def test_a_bad_run_ends_early(searching: Callable[..., Search], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "draw", lambda *args, **options: {})
    search = searching("{_target_:optuna.pruners.ThresholdPruner,upper:0.1,n_warmup_steps:1}", "search.trials=1")
    (spec,) = search.specs()
    ending = execute(spec)
    assert ending.state == "pruned"
    out = Path(ending.out)
    pruned = json.loads((out / "pruned.json").read_text())
    assert pruned["epoch"] == 2
    assert not (out / "scores.json").exists()
    assert History.of(out / "tracking" / "journal.jsonl").status == "KILLED"
    search.ended(ending)
    (trial,) = search.trials
    assert trial.state == TrialState.PRUNED
    assert trial.value == pytest.approx(pruned["objective"])
    assert list(trial.intermediate_values) == [0, 1]
    assert execute(spec).state == "pruned"
    assert len(search) == 0
    search.close()

    ending = execute(replace(spec, pruning=None))  # a sweep without a search asks for the same run
    assert (ending.state, ending.out) == ("done", str(out))
    assert (out / "scores.json").is_file()
    assert not (out / "pruned.json").exists()
    assert [step for event, _ in read(out / "tracking" / "journal.jsonl") for step in val_losses(event)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "goes_on"),
    [
        ({"trial": 7, "storage": "sqlite:///moved.db"}, False),
        ({"study": "other"}, True),
        ({"objective": "val/auroc"}, True),
        ({"pruner": {"_target_": "optuna.pruners.MedianPruner", "n_warmup_steps": 3}}, True),
    ],
)
def test_a_pruning_is_of_its_study_pruner_and_objective(
    change: dict[str, Any], goes_on: bool, searching: Callable[..., Search], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = searching("median")
    (spec,) = islice(search.specs(), 1)
    assert spec.pruning is not None
    trained: list[Path] = []

    def pruned(cfg: object, out: Path, **_: object) -> None:
        trained.append(out)
        raise PrunedError(1, 0.5)

    monkeypatch.setattr(worker, "train", pruned)
    first = execute(spec)
    again = execute(replace(spec, pruning=replace(spec.pruning, **change)))
    assert (first.state, again.state) == ("pruned", "pruned")
    assert trained == [Path(first.out)] * (2 if goes_on else 1)
    search.close()


def test_a_pruner_watches_what_is_searched_for(searching: Callable[..., Search]) -> None:
    search = searching("median", "objective=val/auroc", "search.objectives=[val/loss]")
    (spec,) = islice(search.specs(), 1)
    assert spec.pruning is not None
    own = Pruner(spec.pruning)
    own.on_train_epoch_end(epoch(1, 0.9, "val/auroc"), None)  # type: ignore[arg-type]
    own.on_train_epoch_end(epoch(2, 0.4), None)  # type: ignore[arg-type]
    assert [trial.intermediate_values for trial in search.trials] == [{1: 0.4}]
    search.close()
    with pytest.raises(InputError, match="parameters is the same after every epoch"):
        searching("median", "search.objectives=[parameters]")


def test_without_a_pruner_nothing_is_reported(searching: Callable[..., Search]) -> None:
    search = searching("none")
    (spec,) = islice(search.specs(), 1)
    assert spec.pruning is None
    assert isinstance(search.trials.study.pruner, optuna.pruners.NopPruner)
    search.close()
