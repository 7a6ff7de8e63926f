"""Lightning's metrics, passed on to a run. The only file of this layer that imports Lightning."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from fiducial.tracking.null_run import NullRun
from fiducial.tracking.run import Run


class TrackingLogger(Logger):
    """Gives a trainer's metrics to a run; does nothing in any process but the first.

    Args:
        run: takes the metrics.
        name: the experiment's name.
    """

    def __init__(self, run: Run | NullRun, *, name: str = "fiducial") -> None:
        super().__init__()
        self._run = run
        self._name = name

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self._name

    @property
    def version(self) -> str:
        """Id of the run."""
        return self._run.id

    @property
    def save_dir(self) -> str:
        """Folder of the run."""
        return str(self._run.out)

    @property
    def run(self) -> Run | NullRun:
        """The run."""
        return self._run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values of one step; `epoch`, which Lightning adds to each, is left out when it is alone."""
        if metrics.keys() != {"epoch"}:
            self._run.log_metrics(metrics, 0 if step is None else step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: a run's parameters are its configuration, which is logged once, by the run."""
