"""Load and memory of the machine and of the run's processes, sampled by a thread of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PREFIX = "system/"
_GIB = 2.0**30


class Sampler(threading.Thread):
    """Logs a sample every few seconds, numbered from `first_step`.

    Args:
        log: takes a sample and its number, as `Run.log_metrics` does.
        folder: whose disk is watched.
        seconds: between two samples.
        first_step: number of the first sample; a resumed run goes on counting.
    """

    def __init__(
        self,
        log: Callable[[Mapping[str, float], int], None],
        folder: Path,
        *,
        seconds: float,
        first_step: int = 0,
    ) -> None:
        super().__init__(name="fiducial-system", daemon=True)
        self._log = log
        self._folder = folder
        self._seconds = seconds
        self._step = first_step
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until told to end."""
        import psutil

        process = psutil.Process()
        psutil.cpu_percent()  # the first call starts the measurement
        while not self._ended.wait(self._seconds):
            self._log(sample(process, self._folder), self._step)
            self._step += 1

    def end(self) -> None:
        """Stop sampling."""
        self._ended.set()


def sample(process: Any, folder: Path) -> dict[str, float]:
    """Return the load now: percentages in 0..100, sizes in GiB.

    Args:
        process: the `psutil.Process` at the root of the run.
        folder: whose disk is watched.
    """
    import psutil

    memory = psutil.virtual_memory()
    values = {
        "cpu_percent": psutil.cpu_percent(),
        "memory_percent": memory.percent,
        "memory_gib": (memory.total - memory.available) / _GIB,
        "process_memory_gib": _tree_memory(process) / _GIB,
        "disk_percent": psutil.disk_usage(str(folder)).percent,
    }
    return {PREFIX + key: float(value) for key, value in (values | _gpus()).items()}


def _tree_memory(process: Any) -> int:
    """Return the resident bytes of a process and its children; memory they share is counted for each."""
    import psutil

    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.Error:  # it ended between the listing and now
            continue
    return total


def _gpus() -> dict[str, float]:
    """Return the load of the GPUs in use; nothing unless torch has been loaded and uses CUDA."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)  # None too while another thread is still importing torch
    if cuda is None or not hasattr(cuda, "is_initialized") or not cuda.is_initialized():
        return {}
    values: dict[str, float] = {}
    for index in range(cuda.device_count()):
        allocated = cuda.memory_allocated(index)
        if allocated == 0:  # asking further would open a context on a GPU that this run does not use
            continue
        free, total = cuda.mem_get_info(index)
        values[f"gpu_{index}_memory_gib"] = (total - free) / _GIB
        values[f"gpu_{index}_memory_percent"] = 100 * (total - free) / total
        values[f"gpu_{index}_allocated_gib"] = allocated / _GIB
        if (load := _gpu_load(cuda, index)) is not None:
            values[f"gpu_{index}_percent"] = load
    return values


def _gpu_load(cuda: Any, index: int) -> float | None:
    """Return how busy a GPU is in percent; None where the driver's Python interface is missing, or does not say."""
    try:
        return float(cuda.utilization(index))
    except Exception:  # NVML has errors of its own, such as for parts of a GPU
        return None
