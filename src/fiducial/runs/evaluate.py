"""Score a run's checkpoint again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from fiducial.checkpoints import BEST, LAST
from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.runs import folder
from fiducial.runs.build import build_data, build_task, component, trainer_for
from fiducial.runs.quiet import quiet


def evaluate(cfg: DictConfig, out: Path, *, split: str, checkpoint: str) -> dict[str, Any]:
    """Predict one split with a checkpoint of the run in `out`; write and return the scores.

    They go into a folder `evaluations/` of the run; the run itself stays as it is.
    """
    from fiducial.runs.outcome import Outcome

    quiet()
    hardware: Hardware = component(cfg.hardware).alone()
    hardware.check()
    hardware.prepare()
    data = build_data(cfg)
    data.test_split = split
    task = build_task(cfg, data, hardware)
    if folder.is_finished(out):
        task.recall(json.loads((out / folder.SCORES).read_text()))
    weights, place = checkpoint_file(out, checkpoint), folder.of_evaluation(out)
    trainer = trainer_for(cfg, place, hardware, logger=None, callbacks=[])
    trainer.test(task, datamodule=data, ckpt_path=weights, verbose=False, weights_only=True)
    outcome = Outcome.of(cfg, place, task, data, task.loaded_epoch)
    outcome.save()
    outcome.show()
    return outcome.scores


def checkpoint_file(out: Path, name: str) -> Path:
    """Return a run's checkpoint, "best" or "last".

    Raises:
        InputError: it is not there.
    """
    file = out / folder.CHECKPOINTS / (BEST if name == "best" else LAST)
    if not file.is_file():
        raise InputError(f"run {out} has no checkpoint {file.name}; a run writes one at the end of each epoch")
    return file
