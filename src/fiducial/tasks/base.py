"""What every task does: steps, schedules, scores by epoch, predictions by case."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import nn
from torchmetrics import MeanMetric, Metric

from fiducial.errors import InputError
from fiducial.randomness import reseed
from fiducial.types import Tensor

Batch = dict[str, Tensor]
Stage = Literal["train", "val", "test"]
STEPS_BETWEEN_LOSSES = 50


class Gathered(Metric):
    """Tensors of all batches and processes, joined along the first axis."""

    full_state_update = False
    parts: dict[str, list[Tensor]]

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        for name in names:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, **values: Tensor) -> None:
        """Append one batch."""
        for name in self.names:
            getattr(self, name).append(values[name].detach())

    def compute(self) -> dict[str, Tensor]:
        """Return everything gathered, on the CPU."""
        joined = {name: getattr(self, name) for name in self.names}
        return {name: (torch.cat(v) if isinstance(v, list) else v).cpu() for name, v in joined.items()}


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes.

    Attributes:
        make: builds the scheduler for an optimizer.
        interval: whether it advances after each "epoch" or optimizer "step".
        monitor: whether it is told the objective.
        fills: constructor arguments that are only known in training; `total_steps` is the one that exists.
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
        seed: of the run.
        memory_format: layout of images and weights.
    """

    predictions: dict[str, Tensor]

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        schedule: Schedule | None = None,
        objective: str = "val/loss",
        seed: int = 0,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.model = model
        self.network = model  # what `step` calls; `hardware` may put a compiled form here
        self.make_optimizer, self.schedule, self.objective, self.seed = optimizer, schedule, objective, seed
        self.memory_format = memory_format
        self.losses = nn.ModuleDict({f"{stage}_": MeanMetric() for stage in ("train", "val", "test")})
        self.predictions = {}
        self.history: dict[str, list[tuple[int, float]]] = {}
        self._scheduler: Any = None
        self._scheduler_state: dict[str, Any] | None = None
        self._last_step = -1
        self.loaded_epoch = -1
        self.test_scores: dict[str, float] = {}

    # -- what a task defines ------------------------------------------------------------------------------

    @abstractmethod
    def step(self, batch: Batch, stage: Stage) -> Tensor:
        """Return the mean loss of a batch, after recording what the scores of the stage need."""

    @abstractmethod
    def scores(self, stage: Stage) -> dict[str, Tensor]:
        """Return the scores of the epoch that ends, and forget what they were made from."""

    @abstractmethod
    def gather(self) -> dict[str, Tensor]:
        """Return what was predicted for each test case, and forget it."""

    # -- optimisation -------------------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimizer and the schedule."""
        optimizer = self.make_optimizer(self.model.parameters())
        if self.schedule is not None:
            known = {"total_steps": int(self.trainer.estimated_stepping_batches)}
            filled = {argument: known[source] for argument, source in self.schedule.fills.items()}
            self._scheduler = self.schedule.make(optimizer, **filled)
        return optimizer

    def on_fit_start(self) -> None:
        """Put the schedule back to where an interrupted run left it."""
        if self._scheduler is not None and self._scheduler_state is not None:
            self._scheduler.load_state_dict(self._scheduler_state)
        self._last_step = self.trainer.global_step

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the schedule's state and the learning curves."""
        checkpoint["schedule"] = self._scheduler.state_dict() if self._scheduler is not None else None
        checkpoint["history"] = {name: [list(point) for point in points] for name, points in self.history.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the schedule's state and the learning curves."""
        self.loaded_epoch = int(checkpoint["epoch"])
        self._scheduler_state = checkpoint["schedule"]
        self.history = {n: [(int(e), float(v)) for e, v in p] for n, p in checkpoint["history"].items()}

    # -- steps --------------------------------------------------------------------------------------------

    def forward(self, batch: Batch) -> Tensor:
        """Return the network's raw output for a batch."""
        image = batch["image"]
        if image.ndim == 4 and self.memory_format is torch.channels_last:
            image = image.contiguous(memory_format=self.memory_format)
        if getattr(self.model, "takes_length", False):
            output = self.network(image, batch.get("length"))
        else:
            output = self.network(image)
        return output[0] if isinstance(output, tuple) else output

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, scaled to this process's part of the global mean."""
        loss = self.step(batch, "train")
        if self.device.type == "cpu" or batch_idx % STEPS_BETWEEN_LOSSES == 0:
            self._refuse_nan(loss, batch_idx)
        self._record(loss, batch, "train")
        if self.logger is not None and self.trainer.global_step % STEPS_BETWEEN_LOSSES == 0:
            self.logger.log_metrics({"train/loss_step": float(loss.detach())}, self.trainer.global_step)
        return loss * batch["share"] if "share" in batch else loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Record the loss and scores of a validation batch."""
        self._record(self.step(batch, "val"), batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Record the loss, scores and predictions of a test batch."""
        self._record(self.step(batch, "test"), batch, "test")

    def _record(self, loss: Tensor, batch: Batch, stage: Stage) -> None:
        self._loss(stage).update(loss.detach(), len(batch["row"]))

    def _refuse_nan(self, loss: Tensor, batch_idx: int) -> None:
        if not torch.isfinite(loss):
            raise InputError(
                f"the training loss became {float(loss)} in epoch {self.current_epoch}, step {batch_idx}. "
                "A lower optimizer.lr, hardware.clip_norm=1, or full precision (hardware.precision=32-true) "
                "usually prevents it; run again with debug=overfit to look closer"
            )

    # -- epochs -------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Seed the global generators (dropout) by epoch and rank."""
        reseed(self.seed, "epoch", self.current_epoch, self.global_rank)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Advance a schedule that counts optimizer steps."""
        stepped = self.trainer.global_step != self._last_step
        self._last_step = self.trainer.global_step
        if stepped and self._scheduler is not None and self.schedule and self.schedule.interval == "step":
            self._scheduler.step()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training scores and learning rate; advance a schedule that counts epochs."""
        scores = self._end("train")
        scores["lr"] = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        self._log(scores)
        if self._scheduler is not None and self.schedule and self.schedule.interval == "epoch":
            told = (self.trainer.callback_metrics[self.objective],) if self.schedule.monitor else ()
            self._scheduler.step(*told)

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores."""
        scores = self._end("val")
        if not self.trainer.sanity_checking:
            self._log(scores)

    def on_test_epoch_end(self) -> None:
        """Keep the predictions of every test case."""
        self.predictions = self.gather()
        self.test_scores = self._end("test")

    def _end(self, stage: Stage) -> dict[str, float]:
        computed = {"loss": self._loss(stage).compute(), **self.scores(stage)}
        self._loss(stage).reset()
        return {f"{stage}/{name}": float(value) for name, value in computed.items()}

    def _loss(self, stage: Stage) -> MeanMetric:
        metric = self.losses[f"{stage}_"]
        assert isinstance(metric, MeanMetric)
        return metric

    def _log(self, scores: dict[str, float]) -> None:
        """Tell callbacks and the tracker; every process has the same values already."""
        self.log_dict({k: v for k, v in scores.items() if k != "lr"}, logger=False)
        if self.logger is not None:
            self.logger.log_metrics(scores, self.current_epoch)
        for name, value in scores.items():
            self.history.setdefault(name, []).append((self.current_epoch, value))
