"""Checkpoints that survive a kill: written aside and renamed, verified before they are used.

last.ckpt       the end of the latest epoch
previous.ckpt   the one before, in case `last.ckpt` turns out damaged
best.ckpt       the epoch with the best objective (a hard link, so it costs no second write)
"""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from fiducial.config.agreement import no_such_metric
from fiducial.errors import InputError
from fiducial.objective import lower_is_better

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
SOMETIMES = ("val/precision",)  # objectives undefined in epochs that call no case positive; such an epoch is no better


def damage(path: Path) -> str:
    """Return what is wrong with a checkpoint file, or an empty string.

    `torch.save` writes a zip archive with a checksum for each tensor; all of them are verified.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        return str(error)
    return f"wrong checksum in {broken}" if broken else ""


def selected(folder: Path, name: str, *, verify: bool = True) -> Path:
    """Return the file of a run's "best" or "last" checkpoint.

    Args:
        folder: of the run's checkpoints.
        name: "best" or "last".
        verify: look whether it is there and whole; of several processes only the one that writes it may.

    Raises:
        InputError: it is not there, or damaged.
    """
    file = folder / (BEST if name == "best" else LAST)
    if not verify:
        return file
    if not file.is_file():
        raise InputError(
            f"run {folder.parent} has no checkpoint {file.name}; a run writes one at the end of each epoch"
        )
    if fault := damage(file):
        raise InputError(f"{file} is damaged ({fault}), and no other file has its weights: train again")
    return file


def resume_point(folder: Path, *, select: str) -> tuple[Path | None, list[str]]:
    """Return the checkpoint that a run goes on from, and what was found wrong with others.

    It is the newest intact one; none where the best, which is to be selected, is lost: only training anew brings its
    weights back. Going on from the one before the last needs no look at the best, which may be the last's own file.
    """
    found: list[str] = []
    for name in (LAST, PREVIOUS):
        path = folder / name
        if path.is_file():
            fault = damage(path)
            if not fault:
                best = folder / BEST
                lost = damage(best) if name == LAST and select == "best" and best.is_file() else ""
                return (None, [f"{best} is damaged ({lost})"]) if lost else (path, found)
            found.append(f"{path} is damaged ({fault})")
    return None, found


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint aside and rename it, so that a file under its own name is whole.

    There is no fsync: after a power loss the checksums tell a damaged file, and the one before it is used.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            InputError: the disk is full, or the folder cannot be written.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_suffix(".part")
        try:
            with aside.open("wb") as file:
                torch.save(checkpoint, file)
            os.replace(aside, target)
        except (OSError, RuntimeError) as error:
            aside.unlink(missing_ok=True)
            raise InputError(f"the checkpoint {target} could not be written: {_reason(error, target)}") from error


def _reason(error: Exception, target: Path) -> str:
    """Return why a file could not be written; torch's own error hides the system's."""
    cause = next((e for e in (error, error.__cause__, error.__context__) if isinstance(e, OSError)), error)
    free = shutil.disk_usage(target.parent).free
    text = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(cause).splitlines()[0]
    hint = "; free some space and resume the run" if getattr(cause, "errno", None) == errno.ENOSPC else ""
    return f"{text} ({free / 2**20:.0f} MiB are free on its disk){hint}"


class Checkpoints(Checkpoint):
    """Write a checkpoint after each epoch, keep the best by the objective, and end a run that stopped improving.

    Args:
        folder: where they go.
        objective: metric that decides.
        patience: epochs without a better objective after which training ends; never if None.
        goal: value of the objective at which training ends, and short of which it has failed.
        beforehand: called before a checkpoint is written: what was logged up to it must not be lost.

    Raises:
        InputError: at the end of the first epoch, if there is no such metric or the labels leave it undefined; at the
            end of training, if it never had a value or the goal was missed.
    """

    def __init__(
        self,
        folder: Path,
        objective: str,
        *,
        patience: int | None = None,
        goal: float | None = None,
        beforehand: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self.objective, self.beforehand = folder, objective, beforehand
        self.patience, self.goal = patience, goal
        self.best_value: float | None = None
        self.best_epoch = self.epoch = -1

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best_value": self.best_value, "best_epoch": self.best_epoch, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best value so far."""
        self.best_value, self.best_epoch = state_dict["best_value"], state_dict["best_epoch"]
        self.epoch = state_dict["epoch"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Finish what a kill left half done, after the checkpoint to go on from is loaded."""
        if trainer.ckpt_path is None or not trainer.is_global_zero:
            return
        resumed = Path(trainer.ckpt_path)
        if resumed.name == PREVIOUS:
            (self.folder / LAST).unlink(missing_ok=True)  # damaged; it must not take the intact one's place
        if self.best_epoch == self.epoch >= 0:  # not loaded yet with FSDP, which knows nothing of a best one here
            _link(resumed, self.folder / BEST)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End a run that was interrupted when its patience was over."""
        self._stop_if_over(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write this epoch's checkpoint."""
        value, self.epoch = self._value(trainer), trainer.current_epoch
        better = self._better(value)
        if better:
            self.best_value, self.best_epoch = value, self.epoch
        self.beforehand()
        last = self.folder / LAST
        if trainer.is_global_zero and last.exists():
            os.replace(last, self.folder / PREVIOUS)
        trainer.save_checkpoint(last)
        if trainer.is_global_zero and better:
            _link(last, self.folder / BEST)
        self._stop_if_over(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse a run that missed its goal, or whose objective never had a value."""
        if self.best_value is None:
            raise InputError(
                f"objective={self.objective} was undefined in every epoch: no case was called positive. Train longer, "
                "or use objective=val/loss"
            )
        if self.goal is not None and not self._at_goal():
            raise InputError(
                f"{self.objective} was to reach {self.goal}, and its best is {self.best_value:.4g} after "
                f"{self.epoch + 1} epochs. The learning rate (optimizer.lr) may be far off, regularisation in the way "
                "(dropout, label smoothing, weight decay), the network, the loss or the labels at fault"
            )

    def _stop_if_over(self, trainer: pl.Trainer) -> None:
        out_of_patience = self.patience is not None and self.epoch - self.best_epoch >= self.patience
        trainer.should_stop = trainer.should_stop or out_of_patience or self._at_goal()

    def _at_goal(self) -> bool:
        if self.goal is None or self.best_value is None:
            return False
        return self.best_value <= self.goal if lower_is_better(self.objective) else self.best_value >= self.goal

    def _value(self, trainer: pl.Trainer) -> float:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.objective not in metrics:
            raise InputError(no_such_metric("objective", self.objective, list(metrics)))
        value = metrics[self.objective]
        if value != value and self.objective not in SOMETIMES:
            raise InputError(
                f"objective={self.objective} is undefined in epoch {trainer.current_epoch + 1}: a score over cases of "
                "one class has no value. Use objective=val/loss, or a validation split that holds every class"
            )
        return value

    def _better(self, value: float) -> bool:
        if value != value:
            return False
        if self.best_value is None:
            return True
        return value < self.best_value if lower_is_better(self.objective) else value > self.best_value


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, in one step."""
    aside = target.with_suffix(".part")
    aside.unlink(missing_ok=True)
    try:
        os.link(source, aside)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, aside)
    os.replace(aside, target)
