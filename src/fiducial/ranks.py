"""What a launcher of several processes (torchrun, SLURM's srun) tells each of them by its environment. No torch."""

from __future__ import annotations

import os
from pathlib import Path

from fiducial.errors import InputError

NO_ID = "none"  # torchrun's, where it was given none: every command has the same
# A run that is one process of its own must not see these of the process that starts it.
VARIABLES = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"),
)


def launched() -> bool:
    """Tell whether torchrun, or srun, started this process as one of several."""
    return "LOCAL_RANK" in os.environ or by_srun()


def by_srun() -> bool:
    """Tell whether srun started this process as one of several; SLURM_NTASKS a batch script alone has, too."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1


def rank() -> int:
    """Return the number of this process among them, from 0."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))


def job() -> str:
    """Return a name that all processes of one launcher's job share; empty where this one was started by itself.

    Raises:
        InputError: torchrun runs on several machines, which have no name in common.
    """
    if run := os.environ.get("TORCHELASTIC_RUN_ID"):
        return f"job-{_folder_of_torchrun() if run == NO_ID else run}"
    if by_srun():
        return f"job-{os.environ['SLURM_JOB_ID']}-{os.environ.get('SLURM_STEP_ID', '0')}"
    return ""


def _folder_of_torchrun() -> str:
    """Return what is random in the name of the folder that torchrun makes on each machine, for each command."""
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if os.environ.get("GROUP_WORLD_SIZE") != "1" or not file:
        raise InputError(
            "torchrun: expected an id that all machines are given, another one for each run, got none; "
            "add --rdzv-id=NAME"
        )
    return Path(file).parents[2].name.removeprefix(f"{NO_ID}_")  # FOLDER/none_RANDOM/attempt_0/RANK/error.json
