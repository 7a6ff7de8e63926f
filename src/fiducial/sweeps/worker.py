"""What a process of a sweep does: run one job, whatever state an earlier process left it in."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from fiducial.checkpoints import Checkpoints
from fiducial.config import Composed, compose
from fiducial.config.composition import register
from fiducial.config.construction import component
from fiducial.runs import folder
from fiducial.runs.train import train
from fiducial.sweeps.job import Ending, Progress, Pruning, Spec, told
from fiducial.sweeps.ledger import PRUNED, Ledger, claimed
from fiducial.sweeps.nesting import take
from fiducial.sweeps.pruning import PrunedError, Pruner
from fiducial.tracking.lifetime import Terminated
from fiducial.tracking.liveness import LockHeldError, write_whole

Report = Callable[[Progress], None]


def execute(spec: Spec, report: Report = lambda progress: None) -> Ending:
    """Run a job, or go on with it, unless it is done or another process has it; return how it ended.

    Whatever the run raises becomes part of the ending: one job never harms another. Called again after a
    preemption, it goes on where the run was.
    """
    begin = time.monotonic()
    try:
        composed = _composed(spec)
        identity, outputs = composed.identity(), Path(composed.cfg.outputs)
        with claimed(outputs, identity):
            standing, out = Ledger(outputs).standing(identity)
            if standing == "done" or (standing == "pruned" and _is_pruned_by(spec.pruning, out)):
                assert out is not None
                return Ending(spec.number, standing, str(out), objective=_objective(out))
            if standing == "running":
                return Ending(spec.number, "elsewhere", str(out))
            resume = out is not None and folder.has_begun(out)
            if out is not None:
                (out / PRUNED).unlink(missing_ok=True)  # a search saw no use in it; now it is to go on
                cfg = folder.renew(out, composed)
                take(out, spec.title, Path(spec.sweep), component(cfg.tracking))
            else:
                out = folder.create(
                    composed, identity, title=spec.title, sweep=Path(spec.sweep) if spec.sweep else None
                )
            return _ended(spec, out, _attempt(spec, out, resume, report), time.monotonic() - begin)
    except LockHeldError:
        return Ending(spec.number, "elsewhere")
    except Exception as error:
        traceback.print_exception(error)
        return Ending(spec.number, "failed", message=told(error), seconds=time.monotonic() - begin)


def _composed(spec: Spec) -> Composed:
    if spec.composed is None:
        return compose(spec.overrides, spec.config_dir)
    register()  # the resolvers that it uses; its own process has composed nothing
    folder.check_tables(spec.composed.tables, spec.composed.cfg, "the sweep")
    return spec.composed


def _attempt(spec: Spec, out: Path, resume: bool, report: Report) -> BaseException | None:
    """Train; return what ended it before its time."""
    callbacks: list[pl.Callback] = [Reporter(spec.number, report)]
    if spec.pruning is not None:
        callbacks.append(Pruner(spec.pruning))
    try:
        train(folder.config(out), out, resume=resume, callbacks=callbacks)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        return error
    return None


def _ended(spec: Spec, out: Path, error: BaseException | None, seconds: float) -> Ending:
    match error:
        case None:
            return Ending(spec.number, "done", str(out), seconds=seconds, objective=_objective(out))
        case PrunedError():
            assert spec.pruning is not None, "it raised that"
            content = {"epoch": error.epoch, "objective": error.objective, "by": spec.pruning.judge}
            write_whole(out / PRUNED, json.dumps(content))
            return Ending(spec.number, "pruned", str(out), str(error), seconds)
        case KeyboardInterrupt() | Terminated():
            return Ending(spec.number, "stopped", str(out), "stopped", seconds)
        case _:
            traceback.print_exception(error)
            return Ending(spec.number, "failed", str(out), told(error), seconds)


def _is_pruned_by(pruning: Pruning | None, out: Path | None) -> bool:
    """Tell whether a pruned run was pruned by what would judge it now."""
    if pruning is None or out is None:
        return False
    try:
        content = json.loads((out / PRUNED).read_text(encoding="utf-8"))
    except ValueError:  # a power loss left it empty
        return False
    return bool(content.get("by") == json.loads(json.dumps(pruning.judge)))


def _objective(out: Path) -> float | None:
    if not folder.is_finished(out):
        return None
    value: float | None = folder.scores(out).get("objective", {}).get("value")
    return value


class Reporter(pl.Callback):
    """Tell how far a run is: at its start, at most once a second, and after each epoch.

    Args:
        number: of the run in its sweep.
        report: takes what there is to tell.
    """

    def __init__(self, number: int, report: Report) -> None:
        self._number, self._report = number, report
        self._next, self._steps = 0.0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that training has begun, and of how many steps it will be."""
        # Asked for later, in the test, Lightning sets the training's loaders up again, and waits for all processes.
        steps = trainer.estimated_stepping_batches
        self._steps = int(steps) if steps != float("inf") else 0
        self._tell(trainer, trainer.current_epoch)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Say how many steps are over."""
        self._live(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Show a sign of life."""
        self._live(trainer)

    def on_test_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Show a sign of life."""
        self._live(trainer)

    def _live(self, trainer: pl.Trainer) -> None:
        if time.monotonic() >= self._next:
            self._tell(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that an epoch is over."""
        self._tell(trainer, trainer.current_epoch + 1)

    def _tell(self, trainer: pl.Trainer, epoch: int) -> None:
        self._next = time.monotonic() + 1
        if not trainer.is_global_zero:
            return
        best = next((one.best_value for one in trainer.callbacks if isinstance(one, Checkpoints)), None)  # type: ignore[attr-defined]
        self._report(Progress(self._number, epoch, trainer.max_epochs or 0, trainer.global_step, self._steps, best))
