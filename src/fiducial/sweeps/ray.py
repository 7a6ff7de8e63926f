"""Jobs as tasks of a Ray cluster; one whose machine or process is lost goes on elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from fiducial.errors import InputError
from fiducial.sweeps.cluster import Cluster, Mail, work
from fiducial.sweeps.job import Ending, Spec

SHARED = ("FIDUCIAL_", "MLFLOW_", "PG")  # how variables begin that a job needs wherever it runs; PG: those of libpq


class RayLauncher(Cluster):
    """Run jobs on a Ray cluster.

    Args:
        address: of the cluster: `auto` for the one of this machine, `ray://head:10001`; a new one on this machine,
            for as long as the sweep lasts, if empty.
        num_cpus: cores of a job.
        num_gpus: GPUs of a job, also a part of one.
        memory_gb: memory of a job in GiB, by which Ray decides how many fit on a machine.
        retries: how often a job goes on elsewhere after its process or its machine was lost.
        at_once: jobs that Ray has at once, waiting or running.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        num_cpus: float = 1,
        num_gpus: float = 0,
        memory_gb: float | None = None,
        retries: int = 3,
        at_once: int = 256,
    ) -> None:
        super().__init__(at_once=at_once)
        self._address = address
        memory = {} if memory_gb is None else {"memory": int(memory_gb * 2**30)}
        self._options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": retries, **memory}
        self._ray: Any = None
        self._submit: Any = None
        self._logs = Path()

    def connect(self, logs: Path) -> None:
        """Connect to the cluster, or start one."""
        try:
            self._ray = import_module("ray")
        except ImportError as error:
            raise InputError(
                "launcher=ray: expected the package ray, which is not installed; pip install 'fiducial[ray]'"
            ) from error
        logs.mkdir(parents=True, exist_ok=True)
        address = self._address or "local"  # none would be that of RAY_ADDRESS, or of the last `ray start`
        try:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            self._ray.init(address, log_to_driver=False, include_dashboard=False, ignore_reinit_error=True)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(f"launcher.address: expected a Ray cluster at {address}, got: {error}") from error
        # a process for each job: what it leaves on a GPU is gone with it
        self._submit = self._ray.remote(max_calls=1, **self._options)(_work)
        self._logs = logs

    def run(self, spec: Spec, mail: Mail) -> Any:
        """Give a job to Ray, and wait for it."""
        environment = {key: value for key, value in os.environ.items() if key.startswith(SHARED)}
        log = self._logs / f"{spec.number}.log"
        return self._ray.get(self._submit.remote(spec, mail, log, Path.cwd(), environment))


def _work(spec: Spec, mail: Mail, log: Path, place: Path, environment: Mapping[str, str]) -> Ending:
    """Run a job in a process of Ray's, with the folder and the environment of the command."""
    os.environ.update(environment)
    os.chdir(place)
    sys.path.append(str(place))
    return work(spec, mail, log)
