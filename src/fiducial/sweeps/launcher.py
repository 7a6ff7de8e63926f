"""The pool of warm processes as a Hydra launcher; Hydra itself knows it by `hydra/launcher=fiducial`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from fiducial.config import conf_dir
from fiducial.errors import InputError
from fiducial.redaction import redact_override
from fiducial.runs import folder
from fiducial.sweeps import axes
from fiducial.sweeps.job import Ending, Progress, RunError, Spec
from fiducial.sweeps.pool import Limits, Pool, Watch
from fiducial.sweeps.slots import slots

logger = logging.getLogger(__name__)


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
        self._hydra: DictConfig | None = None

    def setup(
        self, *, hydra_context: HydraContext | None, task_function: TaskFunction | None, config: DictConfig
    ) -> None:
        """Take the configuration that all jobs have in common; the other arguments are Hydra's custom."""
        hardware = OmegaConf.to_container(config.hardware, resolve=True)
        assert isinstance(hardware, dict)
        self._hardware = {str(key): value for key, value in hardware.items()}
        self._hydra = config.get("hydra")

    def slots(self, num_jobs: int | None) -> list[dict[str, str]]:
        """Return the environment of each job that runs at once."""
        return slots(self._hardware, num_jobs, self.at_once)

    def stream(self, jobs: Iterable[Spec | None], watch: Watch, *, sweep: Path, num_jobs: int | None = None) -> None:
        """Run jobs; each is taken from `jobs` when there is room for it."""
        Pool(self.slots(num_jobs), sweep / "logs", self._limits).run(jobs, watch)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train a run for each job of a batch that Hydra itself asks for, whatever function its app is made of.

        The runs belong to no sweep; each delivers itself. What they print is in the folder of Hydra's sweep. Each job
        returns its `Ending`, with the run's folder as its own; one that is not done fails with a `RunError`.
        """
        assert self._hydra is not None, "Hydra sets its launchers up"
        config_dir = own_folder(self._hydra)
        given = [axes.values(overrides) for overrides in job_overrides]
        keys = axes.varied(given)
        specs = [
            Spec(number, tuple(overrides), config_dir, "", axes.title(values, keys))
            for number, (overrides, values) in enumerate(zip(job_overrides, given, strict=True), start=initial_job_idx)
        ]
        endings = _Endings()
        self.stream(specs, endings, sweep=Path(self._hydra.sweep.dir).resolve(), num_jobs=len(specs))
        return [_returned(spec, endings.of[spec.number]) for spec in specs]


class _Endings:
    """Keeps how jobs ended, and tells Hydra's log."""

    def __init__(self) -> None:
        self.of: dict[int, Ending] = {}

    def started(self, spec: Spec) -> None:
        """Tell it."""
        logger.info("#%d started : %s", spec.number, " ".join(map(redact_override, spec.overrides)))

    def progressed(self, progress: Progress) -> None:
        """Nothing to keep."""

    def ended(self, ending: Ending) -> None:
        """Keep it, and tell it."""
        logger.info("#%d %s : %s", ending.number, ending.state, ending.message or ending.out)
        self.of[ending.number] = ending

    def tick(self) -> None:
        """Nothing to keep."""


def _returned(spec: Spec, ending: Ending) -> JobReturn:
    done = ending.state == "done"
    cfg = folder.config(Path(ending.out)) if ending.out else None
    returned = JobReturn(overrides=spec.overrides, cfg=cfg, task_name="train", working_dir=ending.out)
    returned.return_value = ending if done else RunError(ending)
    returned.status = JobStatus.COMPLETED if done else JobStatus.FAILED
    return returned


def own_folder(hydra: DictConfig) -> str | None:
    """Return the folder of config groups of the user's own that Hydra looks into; None if there is none."""
    folders = [source.path for source in hydra.runtime.config_sources if source.schema == "file"]
    return next((folder for folder in folders if Path(folder) != conf_dir()), None)


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60
