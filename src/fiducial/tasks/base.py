"""What every task does: steps, schedules, scores by epoch, predictions by case."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.randomness import reseed
from fiducial.tasks.gathering import Gathered, Mean
from fiducial.types import Tensor

Batch = dict[str, Any]
Stage = Literal["train", "val", "test"]
STAGES: tuple[Stage, ...] = ("train", "val", "test")
STEPS_BETWEEN_LOSSES = 50
BESIDE = ("length", "present", "columns")  # what a network may take besides the image, see `fiducial.models`


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes.

    Attributes:
        make: builds the scheduler for an optimizer.
        interval: whether it advances after each "epoch" or optimizer "step".
        monitor: whether it is told the objective.
        fills: constructor arguments that are only known in training, and where each comes from: `total_steps`
            (of the optimizer) or `objective_mode` ("min" or "max").
    """

    make: Callable[..., Any]
    interval: Literal["epoch", "step"] = "epoch"
    monitor: bool = False
    fills: Mapping[str, str] = field(default_factory=dict)


class Task(pl.LightningModule):
    """Train a network on batches; score each epoch; keep what it predicted for every test case.

    Schedulers are advanced here rather than by Lightning, before the checkpoint of an epoch is written, so
    that a resumed run continues with the learning rate that an uninterrupted one has.

    Args:
        model: the network.
        optimizer: builds the optimizer from parameters.
        schedule: of the learning rate; none for a constant one.
        objective: name of the validation metric that a plateau schedule follows.
        objective_mode: "max" if a higher objective is better, else "min".
        seed: of the run.
        memory_format: layout of images and weights.

    Attributes:
        history: learning curves, (epoch, value) by metric.
        predictions: of the split that was tested last, by case in table order: `row` and what `step` gave.
        test_scores: of that split.
        loaded_epoch: of the checkpoint that was loaded last.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        schedule: Schedule | None = None,
        objective: str = "val/loss",
        objective_mode: Literal["min", "max"] = "min",
        seed: int = 0,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.model, self.seed, self.memory_format = model, seed, memory_format
        self.make_optimizer, self.schedule = optimizer, schedule
        self.objective, self.objective_mode = objective, objective_mode
        self.history: dict[str, list[tuple[int, float]]] = {}
        self.predictions: dict[str, Tensor] = {}
        self.test_scores: dict[str, float] = {}
        self.loaded_epoch = -1
        self._losses = {stage: Mean() for stage in STAGES}
        self._outputs = {stage: Gathered() for stage in STAGES}
        self._scheduler: Any = None
        self._scheduler_state: dict[str, Any] | None = None
        self._last_step = -1

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the current hook some 40 times a step; torch's own way to set an attribute is slow.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    # -- what a task defines ------------------------------------------------------------------------------

    @abstractmethod
    def step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of a batch, and by name what the epoch's scores need of each case."""

    @abstractmethod
    def scores(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return scores from the outputs of all cases of an epoch, on the CPU."""

    def adopt(self, scores: Mapping[str, Any], choices: Sequence[str]) -> None:
        """Take from the scores of an earlier test what it chose, so that another test does not choose again.

        Args:
            scores: of that test.
            choices: names of the options that it was left to choose.
        """

    def undecided(self) -> list[str]:
        """Return the names of the options that a test would choose on the validation split."""
        return []

    def share(self, batch: Batch) -> float | Tensor:
        """Return this process's weight in the mean loss of a batch; the weights of all processes sum to 1."""
        return int(batch["valid"]) / int(batch["size"])

    def amount(self, batch: Batch) -> float | Tensor:
        """Return what a batch counts in the mean loss of an epoch, of all processes together."""
        return int(batch["size"])

    # -- optimisation -------------------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimizer and the schedule.

        Raises:
            InputError: the optimizer refuses its arguments.
        """
        try:
            optimizer = self.make_optimizer(self.model.parameters())
        except (TypeError, ValueError) as error:
            raise InputError(f"optimizer: it could not be built: {error}") from error
        if self.schedule is not None:
            known: dict[str, Callable[[], Any]] = {
                "total_steps": lambda: int(self.trainer.estimated_stepping_batches),
                "objective_mode": lambda: self.objective_mode,
            }
            filled = {argument: known[source]() for argument, source in self.schedule.fills.items()}
            self._scheduler = self.schedule.make(optimizer, **filled)
        return optimizer

    def on_fit_start(self) -> None:
        """Put the schedule back to where an interrupted run left it."""
        if self._scheduler is not None and self._scheduler_state is not None:
            self._scheduler.load_state_dict(self._scheduler_state)

    def on_train_start(self) -> None:
        """Count optimizer steps from here."""
        self._last_step = self.trainer.global_step

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the schedule's state and the learning curves."""
        checkpoint["schedule"] = self._scheduler.state_dict() if self._scheduler is not None else None
        checkpoint["history"] = {name: [list(point) for point in points] for name, points in self.history.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the schedule's state and, to go on training, the learning curves."""
        self.loaded_epoch = int(checkpoint["epoch"])
        self._scheduler_state = checkpoint["schedule"]
        if self._scheduler is not None and self._scheduler_state is not None:  # FSDP loads after the fit's start
            self._scheduler.load_state_dict(self._scheduler_state)
        if not self.history:
            self.history = {n: [(int(e), float(v)) for e, v in p] for n, p in checkpoint["history"].items()}

    # -- steps --------------------------------------------------------------------------------------------

    def forward(self, batch: Batch) -> Tensor:
        """Return the network's raw output for a batch."""
        output = self.model(self.laid_out(batch["image"]), **self.beside(batch))
        raw: Tensor = output[0] if isinstance(output, tuple) else output
        return raw

    def laid_out(self, image: Tensor) -> Tensor:
        """Return 2D images in the layout of the weights, by their strides: one channel is contiguous in either."""
        return image.to(memory_format=self.memory_format) if image.ndim == 4 else image

    def beside(self, batch: Batch) -> dict[str, Any]:
        """Return what the network takes besides the image: of `length`, `present` and `columns`."""
        return {name: batch.get(name) for name in BESIDE if getattr(self.model, f"takes_{name}", False)}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return this process's part of the loss of a batch, times the processes: gradients are averaged."""
        loss, part = self._record(batch, "train")
        if self.device.type == "cpu" or batch_idx % STEPS_BETWEEN_LOSSES == 0:
            self._refuse_nan(float(part.detach()), "train", f", step {batch_idx + 1}")
        begins = batch_idx % self.trainer.accumulate_grad_batches == 0  # a step: one value for each
        if self.logger is not None and begins and self.trainer.global_step % STEPS_BETWEEN_LOSSES == 0:
            self.logger.log_metrics({"train/loss_step": float(loss.detach())}, self.trainer.global_step)
        if self.trainer.world_size > 1:
            part = part * self.trainer.world_size
        return part if self.trainer.accumulate_grad_batches == 1 else part * self._part_of_step(batch, batch_idx)

    def _part_of_step(self, batch: Batch, batch_idx: int) -> float:
        """Return a batch's share of the cases of its optimizer step, times the divisor that Lightning applies."""
        together = self.trainer.accumulate_grad_batches
        first = batch_idx // together * together
        sizes = self.trainer.train_dataloader.batch_sampler.sizes[first : int(self.trainer.num_training_batches)]  # type: ignore[union-attr]
        return float(together * int(batch["size"]) / sum(sizes[:together]))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Record the loss and outputs of a validation batch."""
        self._record(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Record the loss and outputs of a test batch."""
        self._record(batch, "test")

    def _record(self, batch: Batch, stage: Stage) -> tuple[Tensor, Tensor]:
        """Return the loss of this process's cases, and its part of that of the whole batch."""
        loss, outputs = self.step(batch)
        part = loss * self.share(batch) if self.trainer.world_size > 1 else loss
        self._losses[stage].add(part.detach(), self.amount(batch))
        self._outputs[stage].add(batch["valid"], row=batch["row"], **outputs)
        return loss, part

    def _refuse_nan(self, loss: float, stage: Stage, where: str = "") -> None:
        if not math.isfinite(loss):
            raise InputError(
                f"the {stage} loss became {loss} in epoch {self.current_epoch + 1}{where}. "
                "A lower optimizer.lr, hardware.clip_norm=1, or full precision (hardware.precision=32-true) "
                "usually prevents it; run again with debug=overfit to look closer"
            )

    # -- epochs -------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Seed the global generators (dropout) by epoch and rank."""
        reseed(self.seed, "epoch", self.current_epoch, self.global_rank)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Advance a schedule that counts optimizer steps."""
        if self._scheduler is None or self.schedule is None or self.schedule.interval == "epoch":
            return
        if self.trainer.global_step != self._last_step:
            self._last_step = self.trainer.global_step
            self._scheduler.step()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training scores and learning rate; advance a schedule that counts epochs."""
        scores, _ = self._end("train")
        self._log(scores)
        self._keep({"lr": float(self.trainer.optimizers[0].param_groups[0]["lr"])})
        if self._scheduler is not None and self.schedule and self.schedule.interval == "epoch":
            if not self.schedule.monitor:
                self._scheduler.step()
            elif self.objective in self.trainer.callback_metrics:  # else the checkpoints say that there is none
                self._scheduler.step(self.trainer.callback_metrics[self.objective])

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores."""
        scores, _ = self._end("val")
        if not self.trainer.sanity_checking:
            self._log(scores)

    def on_test_epoch_end(self) -> None:
        """Keep the scores, and what was predicted for every case."""
        self.test_scores, outputs = self._end("test")
        order = outputs["row"].argsort()
        self.predictions = {name: values[order] for name, values in outputs.items()}

    def _end(self, stage: Stage) -> tuple[dict[str, float], dict[str, Tensor]]:
        outputs, loss = self._outputs[stage].join(self.device), self._losses[stage].compute(self.device)
        self._refuse_nan(float(loss), stage)
        scores = {"loss": loss, **self.scores(outputs)}
        return {f"{stage}/{name}": float(value) for name, value in scores.items()}, outputs

    def _log(self, scores: dict[str, float]) -> None:
        """Tell callbacks and the tracker; every process has the same values already."""
        self.log_dict(scores, logger=False)
        self._keep(scores)

    def _keep(self, scores: dict[str, float]) -> None:
        if self.logger is not None:
            self.logger.log_metrics(scores, self.current_epoch)
        for name, value in scores.items():
            self.history.setdefault(name, []).append((self.current_epoch, value))
