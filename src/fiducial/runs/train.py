"""Fit, test and report one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig

from fiducial.checkpoints import resume_point, selected
from fiducial.config.construction import component
from fiducial.data.module import DataModule
from fiducial.hardware import Hardware
from fiducial.randomness import reseed
from fiducial.runs import folder
from fiducial.runs.advice import explained, with_room
from fiducial.runs.build import build_callbacks, build_data, build_task, trainer_for
from fiducial.runs.peers import peers
from fiducial.runs.provenance import log_data, log_provenance
from fiducial.runs.quiet import quiet
from fiducial.tasks.base import Task
from fiducial.tracking import NullRun, Run, track
from fiducial.tracking.lightning_logger import TrackingLogger


def train(cfg: DictConfig, out: Path, *, resume: bool = False, callbacks: Sequence[pl.Callback] = ()) -> dict[str, Any]:
    """Fit the run in folder `out`; return the test scores of its selected checkpoint.

    Args:
        cfg: the run's configuration.
        out: its folder.
        resume: go on with an interrupted run.
        callbacks: take part in the training, as Lightning has it.

    Raises:
        InputError: something about the input makes the run impossible; the run is marked FAILED.
    """
    quiet()
    record = folder.record(out)
    parent = out / record.sweep if record.sweep else None
    name = record.title or cfg.name
    tracker = component(cfg.tracking)
    with (
        track(out, tracker, name=name, experiment=cfg.study, resume=resume, parent=parent) as run,
        with_room(out),
    ):
        origin = log_provenance(run, cfg, out)
        run.start_delivery()
        hardware: Hardware = component(cfg.hardware)
        hardware.check()
        hardware.prepare()
        data = build_data(cfg)
        log_data(run, out, data, origin)
        with peers(hardware, out):
            task, trainer = fit(cfg, out, hardware, data, run, callbacks)
            epoch = test(cfg, out, task, trainer, data)
        from fiducial.runs.outcome import Outcome  # matplotlib need not delay the first step

        outcome = Outcome.of(cfg, out, task, data, epoch)
        outcome.save()
        outcome.log(run)
    outcome.show()
    return outcome.scores


@explained()
def fit(
    cfg: DictConfig,
    out: Path,
    hardware: Hardware,
    data: DataModule,
    run: Run | NullRun,
    callbacks: Sequence[pl.Callback] = (),
) -> tuple[Task, pl.Trainer]:
    """Train from the start, or from the run's newest intact checkpoint."""
    reseed(cfg.seed, "weights")
    task = build_task(cfg, data, hardware)
    run.log_params({"parameters": sum(weight.numel() for weight in task.model.parameters())})
    logger = TrackingLogger(run, name=cfg.study)
    trainer = trainer_for(cfg, out, hardware, logger=logger, callbacks=[*build_callbacks(cfg, out, run), *callbacks])
    checkpoint, damaged = resume_point(out / folder.CHECKPOINTS, select=cfg.select)
    if damaged:
        message = f"{'; '.join(damaged)}; going on from {checkpoint.name if checkpoint else 'the start'}"
        print(message)
        run.set_tags({"fiducial.damaged_checkpoint": message})
    trainer.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return task, trainer


@explained()
def test(cfg: DictConfig, out: Path, task: Task, trainer: pl.Trainer, data: DataModule) -> int:
    """Predict the test split with the checkpoint that `cfg.select` names; return its epoch."""
    checkpoint = selected(out / folder.CHECKPOINTS, cfg.select, verify=trainer.is_global_zero)
    trainer.test(task, datamodule=data, ckpt_path=checkpoint, verbose=False, weights_only=True)
    return task.loaded_epoch
