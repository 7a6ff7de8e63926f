"""Fiducial's launcher and sweeper, where Hydra looks for plugins: `hydra/launcher=fiducial`, `hydra/sweeper=fiducial`.

Every app of Hydra's imports this module, and so does every command; what it names is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class FiducialLauncher(Launcher):
    """`fiducial.sweeps.launcher.LocalLauncher`, with its arguments."""

    def __init__(self, **options: Any) -> None:
        from fiducial.sweeps.launcher import LocalLauncher

        self._launcher = LocalLauncher(**options)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what all jobs have in common."""
        self._launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs."""
        return self._launcher.launch(job_overrides, initial_job_idx)


class FiducialSweeper(Sweeper):
    """`fiducial.sweeps.search.OptunaSweeper`, with its arguments."""

    def __init__(self, **options: Any) -> None:
        from fiducial.sweeps.search import OptunaSweeper

        self._sweeper = OptunaSweeper(**options)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what all jobs have in common, and build the launcher."""
        self._sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        """Run a search."""
        return self._sweeper.sweep(arguments)


for kind in (FiducialLauncher, FiducialSweeper):
    ConfigStore.instance().store(
        group="hydra/launcher" if kind is FiducialLauncher else "hydra/sweeper",
        name="fiducial",
        node={"_target_": f"{kind.__module__}.{kind.__name__}", "_recursive_": False, "_convert_": "all"},
        provider="fiducial",
    )
