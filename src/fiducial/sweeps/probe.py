"""A few steps of a run, to learn how long the whole would take. Nothing of it is kept."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from fiducial.config import compose
from fiducial.config.construction import component
from fiducial.hardware import Hardware
from fiducial.randomness import reseed
from fiducial.runs.build import build_data, build_task, trainer_for
from fiducial.runs.quiet import quiet
from fiducial.sweeps.job import Ending, Measured, Progress, Spec, told

WARM_UP, STEPS, VALIDATION_STEPS = 2, 8, 3
ENOUGH_SECONDS = 20.0  # of steps; slower ones are measured fewer times
END_SECONDS = 2.0  # for scores, intervals and pictures at the end of a run


def measure(spec: Spec, report: Callable[[Progress], None]) -> Ending:
    """Train a few steps of a job; return how long steps and epochs take, or why it cannot be trained here."""
    return _told(spec, here=True)


def measure_for_elsewhere(spec: Spec, report: Callable[[Progress], None]) -> Ending:
    """Do the same of a job that is to run on another machine, which may have a device that this one lacks."""
    return _told(spec, here=False)


def _told(spec: Spec, *, here: bool) -> Ending:
    try:
        return _measure(spec, here=here)
    except Exception as error:
        traceback.print_exception(error)
        return Ending(spec.number, "failed", message=told(error))


def _measure(spec: Spec, *, here: bool) -> Measured:
    """Measure one process of the run, with its share of each batch."""
    begin = time.monotonic()
    quiet()
    cfg = compose(spec.overrides, spec.config_dir).cfg
    asked: Hardware = component(cfg.hardware)
    if here:
        asked.check()
    asked.prepare()
    hardware, processes = asked.alone(), asked.processes * asked.num_nodes
    data = build_data(cfg)
    reseed(cfg.seed, "weights")
    task = build_task(cfg, data, hardware)
    steps = _limited(len(data.train_dataloader()), cfg.trainer.get("limit_train_batches"))
    validations = _limited(len(data.val_dataloader()), cfg.trainer.get("limit_val_batches"))
    if data.batch_size != "full":
        data.batch_size = math.ceil(data.batch_size / processes)
    clock = Clock()
    cfg.epochs = 1
    limited = {
        "limit_train_batches": min(steps, WARM_UP + STEPS),
        "limit_val_batches": min(validations, VALIDATION_STEPS),
    }
    cfg.trainer = {**cfg.trainer, **limited}
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_for(cfg, Path(folder), hardware, logger=None, callbacks=[clock])
        start_seconds = time.monotonic() - begin
        trainer.fit(task, datamodule=data)
    step = statistics.median(clock.train[WARM_UP:] or clock.train)
    validation = statistics.median(clock.validation)
    return Measured(
        spec.number,
        "done",
        seconds=time.monotonic() - begin,
        step_seconds=step,
        steps=steps,
        epoch_seconds=steps * step + validations * validation,
        overhead=start_seconds + END_SECONDS,
    )


def _limited(batches: int, limit: int | float | None) -> int:
    """Return how many of an epoch's batches are taken; a limit is a number of them, or a part."""
    if limit is None:
        return batches
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


class Clock(pl.Callback):
    """Measure steps, the loading of their batches included.

    Attributes:
        train: seconds of each training step.
        validation: seconds of each validation step.
    """

    def __init__(self) -> None:
        self.train: list[float] = []
        self.validation: list[float] = []
        self._before = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the clock."""
        self._before = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Note a step; end when there are enough."""
        self._note(self.train)
        trainer.should_stop = sum(self.train) > ENOUGH_SECONDS

    def on_validation_epoch_start(self, *_: Any) -> None:
        """Start the clock."""
        self._before = time.monotonic()

    def on_validation_batch_end(self, *_: Any) -> None:
        """Note a step."""
        self._note(self.validation)

    def _note(self, times: list[float]) -> None:
        now = time.monotonic()
        times.append(now - self._before)
        self._before = now
