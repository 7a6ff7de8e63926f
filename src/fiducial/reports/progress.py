"""One line that tells, while a run trains, where it is, how fast it goes, and how long it will still take."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import suppress
from typing import Any, TextIO

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar

BAR_WIDTH = 12


def duration(seconds: float) -> str:
    """Return seconds as people say them.

    >>> duration(42), duration(192), duration(7500)
    ('42 s', '3 min 12 s', '2 h 05 min')
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


class Progress(ProgressBar):
    """Show epoch, step, images per second, time left of the run, training loss and validation objective.

    In a terminal one line is rewritten at most every `refresh_seconds`; a step in between costs a look at the
    clock. Elsewhere (a file, a CI job) one line is written at the end of each epoch. The time left counts
    validation, and all epochs: early stopping may end a run sooner.

    Args:
        objective: name of the validation metric to show.
        refresh_seconds: least time between two refreshes.
        stream: where to write; standard error if None.
    """

    def __init__(self, objective: str, *, refresh_seconds: float = 0.2, stream: TextIO | None = None) -> None:
        super().__init__()
        self.objective, self.refresh_seconds = objective, refresh_seconds
        self.stream = sys.stderr if stream is None else stream
        self.rewrites = self.stream.isatty()
        self._enabled = True
        self._started = self._next_refresh = self._epoch_started = self._batch_ended = 0.0
        self._batches = self._epoch_images = 0
        self._unreported_epoch: int | None = None

    def disable(self) -> None:
        """Write nothing, as on every process but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Write again."""
        self._enabled = True

    @property
    def is_enabled(self) -> bool:
        """Whether anything is written."""
        return self._enabled

    # -- training -----------------------------------------------------------------------------------------

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the writing to the first process."""
        super().setup(trainer, pl_module, stage)
        if not trainer.is_global_zero:
            self.disable()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the epoch before, all of whose scores are known by now."""
        self._report_epoch(trainer)
        self._epoch_started, self._epoch_images = time.perf_counter(), 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch; rewrite the line if it is time to."""
        self._batches += 1
        self._epoch_images += len(batch["image"])
        now = self._batch_ended = time.perf_counter()
        if self.rewrites and now >= self._next_refresh:
            loss = float(outputs["loss"]) * trainer.accumulate_grad_batches  # Lightning had divided it
            self._rewrite(self._training_line(trainer, batch_idx, loss, now), now)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that this epoch is to be reported once its scores are known."""
        self._unreported_epoch = trainer.current_epoch

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the last epoch and leave the line."""
        self._report_epoch(trainer)
        self._leave_line()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the line to whoever reports the error."""
        self._leave_line()

    # -- evaluation ---------------------------------------------------------------------------------------

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Say that the validation cases are scored, and how far."""
        self._rewrite_evaluation("validation", batch_idx, trainer.num_val_batches[dataloader_idx])

    def on_test_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Say that the test cases are scored, and how far."""
        self._rewrite_evaluation("test", batch_idx, trainer.num_test_batches[dataloader_idx])

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the line."""
        self._leave_line()

    # -- writing ------------------------------------------------------------------------------------------

    def _training_line(self, trainer: pl.Trainer, batch_idx: int, loss: float, now: float) -> str:
        step, steps = batch_idx + 1, self.total_train_batches
        parts = [
            f"{self._epoch(trainer, trainer.current_epoch)} {_bar(step / steps)} {step}/{_count(steps)}",
            *self._time_left(trainer, step, now),
            self._speed(trainer),
            f"loss {loss:.4f}",
            *self._objective_part(trainer),
        ]
        return "  ".join(parts)

    def _rewrite_evaluation(self, stage: str, batch_idx: int, batches: float) -> None:
        now = time.perf_counter()
        if self.rewrites and now >= self._next_refresh:
            done = batch_idx / batches
            self._rewrite(f"{stage} {_bar(done)} {batch_idx}/{_count(batches)}", now)

    def _report_epoch(self, trainer: pl.Trainer) -> None:
        epoch, self._unreported_epoch = self._unreported_epoch, None
        if epoch is None or self.rewrites or not self._enabled:
            return
        now = time.perf_counter()
        loss = trainer.callback_metrics.get("train/loss")
        parts = [
            self._epoch(trainer, epoch),
            *self._time_left(trainer, 0, now, epoch + 1),
            self._speed(trainer),
            *([f"loss {float(loss):.4f}"] if loss is not None else []),
            *self._objective_part(trainer),
        ]
        with suppress(OSError):  # a full disk, a terminal that is gone: no reason to end a training
            print("  ".join(parts), file=self.stream, flush=True)

    def _epoch(self, trainer: pl.Trainer, epoch: int) -> str:
        last = trainer.max_epochs
        return f"epoch {epoch + 1}/{last}" if last is not None and last > 0 else f"epoch {epoch + 1}"

    def _speed(self, trainer: pl.Trainer) -> str:
        seconds = max(self._batch_ended - self._epoch_started, 1e-9)
        return f"{self._epoch_images * trainer.world_size / seconds:,.0f} images/s"

    def _objective_part(self, trainer: pl.Trainer) -> list[str]:
        value = trainer.callback_metrics.get(self.objective)
        return [f"{self.objective} {float(value):.4f}"] if value is not None else []

    def _time_left(self, trainer: pl.Trainer, step: int, now: float, epoch: int | None = None) -> list[str]:
        epochs, steps = trainer.max_epochs, self.total_train_batches
        if epochs is None or epochs < 0 or steps == float("inf") or self._batches == 0:
            return []
        done = (trainer.current_epoch if epoch is None else epoch) * steps + step
        left = (epochs * steps - done) * (now - self._started) / self._batches
        return [f"{duration(left)} left"]

    def _rewrite(self, line: str, now: float) -> None:
        self._next_refresh = now + self.refresh_seconds
        if self._enabled:
            width = shutil.get_terminal_size().columns - 1
            with suppress(OSError):
                self.stream.write(f"\r{line[:width]}\x1b[K")
                self.stream.flush()

    def _leave_line(self) -> None:
        if self.rewrites and self._enabled and self._next_refresh:
            with suppress(OSError):
                self.stream.write("\n")
            self._next_refresh = 0.0


def _bar(share: float) -> str:
    full = round(BAR_WIDTH * min(share, 1.0))
    return "━" * full + "─" * (BAR_WIDTH - full)


def _count(batches: float) -> str:
    return "?" if batches == float("inf") else str(int(batches))
