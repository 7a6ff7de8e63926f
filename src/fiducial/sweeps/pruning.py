"""A run of a search asks after each epoch whether it is worth going on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytorch_lightning as pl

from fiducial.errors import InputError
from fiducial.sweeps.job import Pruning
from fiducial.sweeps.search.study import trial_of
from fiducial.tracking.lifetime import EndedEarlyError

if TYPE_CHECKING:
    from optuna.trial import Trial


class PrunedError(EndedEarlyError):
    """A search saw no use in going on with this run.

    Attributes:
        epoch: epochs that were over.
        objective: of the last one.
    """

    def __init__(self, epoch: int, objective: float) -> None:
        super().__init__(f"pruned after epoch {epoch} at {objective:.4g}")
        self.epoch, self.objective = epoch, objective

    def __reduce__(self) -> tuple[type[PrunedError], tuple[int, float]]:
        return PrunedError, (self.epoch, self.objective)


class Pruner(pl.Callback):
    """Tell a search the objective after each epoch, and end the run where the search says so.

    A database that does not answer costs the run nothing but the question: it says so, and goes on.

    Args:
        pruning: where the search keeps its trials, and the validation metric that decides.

    Raises:
        PrunedError: at the end of an epoch, in a run not worth going on with.
    """

    def __init__(self, pruning: Pruning) -> None:
        self.pruning = pruning
        self._trial: Trial | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the epoch's objective; one that is missing or undefined is not this callback's business."""
        value = float(trainer.callback_metrics.get(self.pruning.objective, math.nan))
        if not trainer.is_global_zero or not math.isfinite(value):
            return
        epoch = trainer.current_epoch + 1
        if epoch < (trainer.max_epochs or 0) and self._is_hopeless(epoch, value):
            raise PrunedError(epoch, value)

    def _is_hopeless(self, epoch: int, value: float) -> bool:
        from optuna.exceptions import OptunaError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            trial = self._trial = self._trial or trial_of(self.pruning)
            step = epoch - 1  # Optuna's pruners count from 0, as the tracker does
            if step not in trial.storage.get_trial(trial._trial_id).intermediate_values:  # else it is a resumed run
                trial.report(value, step)
            return trial.should_prune()
        except (OptunaError, SQLAlchemyError, InputError) as error:
            print(f"epoch {epoch} could not be told to the search: {error}; the run goes on", flush=True)
            return False
