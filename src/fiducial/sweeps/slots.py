"""How many jobs run at once on this machine, and what each of them gets of it. No torch."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from fiducial.errors import InputError

Environment = dict[str, str]


def slots(hardware: Mapping[str, Any], num_jobs: int | None, at_once: int | None) -> list[Environment]:
    """Return the environment variables of each job that runs at once.

    On GPUs each job has as many as it asks for, to itself. On the CPU each job has a thread for each of its
    processes, and the threads that are left are divided between the jobs.

    Args:
        hardware: the runs' group of that name.
        num_jobs: jobs there are to run; None while nobody knows.
        at_once: as the user wants it; by default as many as the machine has room for.

    Raises:
        InputError: `at_once` is not positive, or more than there are GPUs for.
    """
    if at_once is not None and at_once < 1:
        raise InputError(f"launcher.at_once: expected 1 or more runs at once, got {at_once}")
    gpus = visible_gpus() if hardware.get("accelerator", "auto") in ("auto", "gpu") else []
    return _of_gpus(gpus, hardware, num_jobs, at_once) if gpus else _of_cores(hardware, num_jobs, at_once)


def most_demanding(several: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the hardware that takes most of this machine: slots that it fits into have room for each of the others.

    Args:
        several: groups of that name of the runs of a sweep; at least one.
    """
    if all(one == several[0] for one in several):
        return several[0]
    gpus = bool(visible_gpus())

    def needs(hardware: Mapping[str, Any]) -> tuple[bool, float, int]:
        devices = hardware.get("devices", 1)
        on_gpus = gpus and hardware.get("accelerator", "auto") in ("auto", "gpu")
        everything = math.inf if on_gpus else 1.0
        return on_gpus, everything if devices == "auto" else float(devices), int(hardware.get("threads") or 1)

    return max(several, key=needs)


def visible_gpus() -> list[str]:
    """Return the names, as CUDA_VISIBLE_DEVICES takes them, of this machine's NVIDIA GPUs."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _of_gpus(
    gpus: list[str], hardware: Mapping[str, Any], num_jobs: int | None, at_once: int | None
) -> list[Environment]:
    devices = hardware.get("devices", 1)
    each = len(gpus) if devices == "auto" else int(devices)
    room = max(1, len(gpus) // each)
    if at_once is not None and at_once > room:
        raise InputError(
            f"launcher.at_once={at_once}: each run takes {each} of the {len(gpus)} GPUs, so that {room} fit at once"
        )
    number = min(at_once or room, num_jobs or room)
    threads = str(max(1, cores() // number))
    groups = [gpus[start : start + each] for start in range(0, number * each, each)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(group), "OMP_NUM_THREADS": threads} for group in groups]


def _of_cores(hardware: Mapping[str, Any], num_jobs: int | None, at_once: int | None) -> list[Environment]:
    devices = hardware.get("devices", 1)
    processes = 1 if devices == "auto" else int(devices)
    room = max(1, cores() // (processes * int(hardware.get("threads") or 1)))
    number = min(at_once or room, num_jobs or at_once or room)
    return [{"OMP_NUM_THREADS": str(max(processes, cores() // number))} for _ in range(number)]
