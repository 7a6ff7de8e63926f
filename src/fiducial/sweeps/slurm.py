"""Jobs as SLURM jobs, through hydra-submitit-launcher; one that is preempted or out of time goes on in a new one."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from fiducial.config.overrides import assigned
from fiducial.errors import InputError
from fiducial.sweeps.cluster import Cluster, Mail, work
from fiducial.sweeps.job import Ending, Spec

PLUGIN = "hydra_plugins.hydra_submitit_launcher.submitit_launcher"
QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null", "hydra.job.chdir=false")
STAY_SECONDS = 600  # longer than any grace time; SLURM kills the job before


@dataclass(frozen=True)
class _Task:
    """What a node does: run the job; ask for it again when it has to leave the node. Can be pickled."""

    spec: Spec
    mail: Mail
    log: Path

    def __call__(self, config: DictConfig) -> Ending:
        """Run the job; the configuration says nothing about it."""
        number = signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]
        submitit = signal.getsignal(number)
        assert callable(submitit), "submitit waits for this signal"
        leave = False

        def preempt(*_: Any) -> None:
            nonlocal leave
            leave = True
            os.kill(os.getpid(), signal.SIGTERM)  # first the run comes to an orderly end

        signal.signal(number, preempt)
        try:
            return work(self.spec, self.mail, self.log)
        except SystemExit:
            if not leave and "SLURM_JOB_ID" in os.environ:
                time.sleep(STAY_SECONDS)  # SLURM takes a preempted job that exits by itself for done
            raise
        finally:
            if leave:
                submitit(number, None)  # puts the job into the queue again, and exits


class SlurmLauncher(Cluster):
    """Run jobs on a SLURM cluster, each as a job of one task.

    Args:
        partition: of the cluster; its default if empty.
        account: that pays; the user's default if empty.
        qos: quality of service; its default if empty.
        constraint: features that a node must have.
        gres: generic resources of a job, such as "gpu:a100:1".
        timeout_min: minutes that a job may take before it is put into the queue again.
        cpus_per_task: cores of a job.
        gpus_per_node: GPUs of a job.
        mem_gb: memory of a job in GiB.
        max_num_timeout: how often a job may run out of time.
        signal_delay_s: seconds before that, in which the run ends in an orderly way.
        setup: shell commands that come before: `[module load cuda]`.
        additional_parameters: of sbatch: `{mail-user: me@example.org}`.
        at_once: jobs in the queue at once, waiting or running.

    Raises:
        InputError: hydra-submitit-launcher, or SLURM, is not installed.
    """

    kind, program = "Slurm", "sbatch"

    def __init__(
        self,
        *,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        gres: str | None = None,
        timeout_min: int = 24 * 60,
        cpus_per_task: int | None = None,
        gpus_per_node: int | None = None,
        mem_gb: int | None = None,
        max_num_timeout: int = 100,
        signal_delay_s: int = 120,
        setup: Sequence[str] | None = None,
        additional_parameters: dict[str, Any] | None = None,
        at_once: int = 256,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "at_once", "__class__")}
        super().__init__(at_once=at_once)
        self._options = {key: value for key, value in given.items() if value is not None}
        self._hydra: tuple[HydraContext, DictConfig] | None = None
        self._logs = Path()

    def connect(self, logs: Path) -> None:
        """Open Hydra, which the plugin needs around it."""
        if self.program and shutil.which(self.program) is None:
            raise InputError(f"launcher: expected a machine of a cluster, got one without SLURM's {self.program}")
        self._plugin()
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        GlobalHydra.instance().clear()
        hydra = Hydra.create_main_hydra2("fiducial", create_config_search_path(None))
        try:
            overrides = [*QUIET, assigned("hydra.sweep.dir", str(logs)), "hydra.sweep.subdir=."]
            config = hydra.compose_config(None, overrides, run_mode=RunMode.MULTIRUN, with_log_configuration=False)
            HydraConfig.instance().set_config(config)
            self._hydra = HydraContext(config_loader=hydra.config_loader, callbacks=_callbacks()), config
        finally:
            GlobalHydra.instance().clear()

    def run(self, spec: Spec, mail: Mail) -> Any:
        """Submit a job, and wait for it."""
        assert self._hydra is not None, "connected"
        context, config = self._hydra
        folder = self._logs.parent / "submitit" / "%j"
        launcher = self._plugin()(submitit_folder=str(folder), name=f"fiducial-{spec.number}", **self._options)
        task = _Task(spec, mail, self._logs / f"{spec.number}.log")
        launcher.setup(hydra_context=context, task_function=task, config=config)
        return launcher.launch([[]], spec.number)

    def _plugin(self) -> Any:
        from importlib import import_module

        try:
            return getattr(import_module(PLUGIN), f"{self.kind}Launcher")
        except ImportError as error:
            raise InputError(
                "launcher: expected the package hydra-submitit-launcher, which is not installed; "
                "pip install 'fiducial[slurm]'"
            ) from error


class SubmititLocalLauncher(SlurmLauncher):
    """Run jobs on this machine in the way of `SlurmLauncher`: to try it out where there is no cluster.

    Args:
        timeout_min: minutes that a job may take before it is started again, with 30 s to come to an orderly end.
        max_num_timeout: how often.
        at_once: jobs at once.
    """

    kind, program = "Local", ""

    def __init__(self, *, timeout_min: int = 24 * 60, max_num_timeout: int = 100, at_once: int = 2) -> None:
        super().__init__(timeout_min=timeout_min, max_num_timeout=max_num_timeout, at_once=at_once)
        del self._options["signal_delay_s"]


def _callbacks() -> Any:
    from hydra._internal.callbacks import Callbacks

    return Callbacks()
