"""The pool of warm processes as a Hydra launcher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from fiducial.errors import InputError
from fiducial.sweeps.job import Ending, Progress, Spec
from fiducial.sweeps.pool import Limits, Pool, Watch
from fiducial.sweeps.slots import slots


class LocalLauncher(Launcher):
    """Run jobs on this machine, each in a process forked from one that has everything imported.

    Args:
        at_once: runs at once; by default one a GPU, or one a core.
        limit_minutes: after which a run is ended and counts as failed; never if empty.
        silent_minutes: without a step after which a run counts as hung, and is ended; never if empty.

    Raises:
        InputError: a limit is not positive.
    """

    def __init__(
        self,
        *,
        at_once: int | None = None,
        limit_minutes: float | None = None,
        silent_minutes: float | None = None,
    ) -> None:
        for name, minutes in (("limit_minutes", limit_minutes), ("silent_minutes", silent_minutes)):
            if minutes is not None and not minutes > 0:
                raise InputError(f"launcher.{name}: expected a positive number of minutes, got {minutes}")
        self.at_once = at_once
        self._limits = Limits(_seconds(limit_minutes), _seconds(silent_minutes))
        self._hardware: dict[str, Any] = {}

    def setup(
        self, *, hydra_context: HydraContext | None, task_function: TaskFunction | None, config: DictConfig
    ) -> None:
        """Take the configuration that all jobs have in common; the other arguments are Hydra's custom."""
        hardware = OmegaConf.to_container(config.hardware, resolve=True)
        assert isinstance(hardware, dict)
        self._hardware = {str(key): value for key, value in hardware.items()}

    def slots(self, num_jobs: int | None) -> list[dict[str, str]]:
        """Return the environment of each job that runs at once."""
        return slots(self._hardware, num_jobs, self.at_once)

    def stream(self, jobs: Iterable[Spec | None], watch: Watch, *, sweep: Path, num_jobs: int | None = None) -> None:
        """Run jobs; each is taken from `jobs` when there is room for it."""
        Pool(self.slots(num_jobs), sweep / "logs", self._limits).run(jobs, watch)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs, as any Hydra launcher does; each returns its `Ending`."""
        sweep = Path("sweep").resolve()
        specs = [
            Spec(number, tuple(overrides), None, str(sweep), " ".join(overrides))
            for number, overrides in enumerate(job_overrides, start=initial_job_idx)
        ]
        endings = _Endings()
        self.stream(specs, endings, sweep=sweep, num_jobs=len(specs))
        return [_returned(spec, endings.of[spec.number]) for spec in specs]


class _Endings:
    """Keeps how jobs ended."""

    def __init__(self) -> None:
        self.of: dict[int, Ending] = {}

    def started(self, spec: Spec) -> None:
        """Nothing to keep."""

    def progressed(self, progress: Progress) -> None:
        """Nothing to keep."""

    def ended(self, ending: Ending) -> None:
        """Keep it."""
        self.of[ending.number] = ending

    def tick(self) -> None:
        """Nothing to keep."""


def _returned(spec: Spec, ending: Ending) -> JobReturn:
    returned = JobReturn(overrides=spec.overrides, task_name="train", working_dir=ending.out)
    returned.return_value = ending
    returned.status = JobStatus.COMPLETED
    return returned


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60
