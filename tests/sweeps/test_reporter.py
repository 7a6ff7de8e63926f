"""What a job tells the sweep while it runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fiducial.sweeps import worker
from fiducial.sweeps.job import Progress
from fiducial.sweeps.worker import Reporter


class Trainer(SimpleNamespace):
    """Where a run of several processes stands; that of Lightning waits for all of them when it counts the steps."""

    @property
    def estimated_stepping_batches(self) -> float:
        assert self.training, "only one of the processes asks now: it would wait for the others for ever"
        return self.steps


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    monkeypatch.setattr(worker.time, "monotonic", iter(range(0, 1000, 10)).__next__)
    return []


@pytest.mark.parametrize(("steps", "known"), [(12, 12), (float("inf"), 0)])
def test_steps_are_counted_once_at_the_start(steps: float, known: int, told: list[Progress]) -> None:
    state: dict[str, Any] = {"is_global_zero": True, "callbacks": [], "max_epochs": 3, "steps": steps}
    trainer: Any = Trainer(training=True, current_epoch=0, global_step=0, **state)
    reporter = Reporter(7, told.append)
    reporter.on_train_start(trainer, None)
    trainer.global_step = 4
    reporter.on_train_batch_end(trainer)
    reporter.on_train_epoch_end(trainer, None)
    trainer.training = False
    reporter.on_validation_batch_end(trainer)
    reporter.on_test_batch_end(trainer)
    assert [(one.number, one.steps, one.epoch, one.step) for one in told] == [
        (7, known, 0, 0),
        (7, known, 0, 4),
        (7, known, 1, 4),
        (7, known, 0, 4),
        (7, known, 0, 4),
    ]


def test_other_processes_are_silent(told: list[Progress]) -> None:
    trainer: Any = Trainer(is_global_zero=False, callbacks=[], training=True, current_epoch=0, steps=5)
    Reporter(0, told.append).on_train_start(trainer, None)
    assert told == []
