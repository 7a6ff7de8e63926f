"""Where and how a run computes: devices, processes, precision, memory."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.io import CheckpointIO
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, Strategy
from torch import nn

from fiducial import ranks
from fiducial.errors import InputError, nearest

Accelerator = Literal["auto", "cpu", "gpu", "mps"]
Together = Literal["auto", "ddp", "fsdp"]
Bits = Literal["32-true", "16-mixed", "bf16-mixed", "16", "32", "bf16", 16, 32]  # weights have 32 bits
Precision = Literal["fastest", "transformer-engine", "transformer-engine-float16"] | Bits
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # of glibc's mallopt(3)


@dataclass(frozen=True)
class Hardware:
    """What a run computes on.

    Attributes:
        accelerator: auto, cpu, gpu or mps.
        devices: processes on this machine, each with a device of its own; "auto" takes all GPUs.
        num_nodes: machines; more than one needs a launcher (SLURM, torchrun) that starts the processes.
        strategy: how several processes work together: auto (ddp), ddp or fsdp.
        precision: as Lightning names it, or "fastest": bf16-mixed where the device computes in bfloat16, 16-mixed on
            a CUDA GPU that does not, else 32 bit.
        channels_last: keep 2D images and weights with channels as the fastest axis.
        compile: compile the network with `torch.compile`.
        threads: of the CPU, for each process; by default the cores (or OMP_NUM_THREADS) divided by the processes.
        accumulate: batches whose gradients are averaged for one step, by their cases. A loss with class weights is
            averaged by these within each batch, a batch normalisation has the statistics of each batch.
        clip_norm: greatest norm of the gradient.
        sync_batchnorm: share batch statistics between GPUs.
        static_graph: every step uses the same parameters (DDP); those that no step uses, as MONAI's ViT has,
            are then no error. False for networks that skip layers at random.
        deterministic: choose deterministic GPU kernels.
        keep_memory: let glibc keep freed memory, so that large tensors need not be mapped anew at every step.
    """

    accelerator: Accelerator = "auto"
    devices: int | Literal["auto"] = 1
    num_nodes: int = 1
    strategy: Together = "auto"
    precision: Precision = "32-true"
    channels_last: bool = False
    compile: bool = False
    threads: int | None = None
    accumulate: int = 1
    clip_norm: float | None = None
    sync_batchnorm: bool = False
    static_graph: bool = True
    deterministic: bool = True
    keep_memory: bool = True

    def __post_init__(self) -> None:
        for name, value, options in (
            ("accelerator", self.accelerator, get_args(Accelerator)),
            ("strategy", self.strategy, get_args(Together)),
        ):
            if value not in options:
                raise InputError(
                    f"hardware.{name} must be one of {', '.join(options)}; got {value}{nearest(value, options)}"
                )

    def check(self) -> None:
        """Refuse a device that this machine does not have.

        Raises:
            InputError: saying what is there.
        """
        build = f"torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices here"
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise InputError(f"hardware.accelerator=gpu was asked for, but {build}; hardware=cpu fits")
        if self.accelerator == "mps" and not torch.backends.mps.is_available():
            raise InputError("hardware=mps needs an Apple GPU, which this machine does not have; hardware=cpu fits")
        available = torch.cuda.device_count()
        if self.device_type == "cuda" and self.devices != "auto" and int(self.devices) > available:
            raise InputError(f"hardware.devices={self.devices} was asked for, but {build}")
        if self.device_type == "cpu" and str(self.precision) in ("16", "16-mixed"):
            raise InputError(
                f"hardware.precision={self.precision} is for GPUs; on a CPU bf16-mixed is the half precision"
            )
        if self.sync_batchnorm and self.device_type != "cuda":
            raise InputError("hardware.sync_batchnorm=true needs CUDA GPUs; false fits this machine")
        if self.strategy == "fsdp" and self.device_type != "cuda":
            raise InputError("hardware=fsdp needs CUDA GPUs; on a CPU hardware=cpu_ddp fits")
        if self.strategy == "fsdp" and self.clip_norm is not None:
            raise InputError("hardware.clip_norm: hardware=fsdp cannot clip gradients by their norm; leave it out")
        if self.num_nodes > 1 and not ranks.launched():
            raise InputError(
                f"hardware.num_nodes={self.num_nodes} needs a launcher that starts the processes on each machine; "
                "run this command with torchrun (-m fiducial train …) or srun"
            )

    def alone(self) -> Hardware:
        """Return the same hardware with one process."""
        return replace(self, devices=1, num_nodes=1, strategy="auto", sync_batchnorm=False)

    @property
    def device_type(self) -> str:
        """Kind of device that is computed on: cuda, mps or cpu."""
        if self.accelerator in ("auto", "gpu") and torch.cuda.is_available():
            return "cuda"
        if self.accelerator in ("auto", "mps") and torch.backends.mps.is_available():
            return "mps"
        return "cpu"

    @property
    def processes(self) -> int:
        """Processes on this machine."""
        if self.devices == "auto":
            return max(1, torch.cuda.device_count()) if self.device_type == "cuda" else 1
        return int(self.devices)

    @property
    def starts_processes(self) -> bool:
        """Whether this command must start the other processes itself; torchrun and SLURM do so otherwise."""
        return self.processes > 1 and not ranks.launched()

    @property
    def memory_format(self) -> torch.memory_format:
        """Layout of 2D images and weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def lay_out(self, network: nn.Module) -> None:
        """Put a network's 2D kernels into this layout; torch has none of its rank for those of volumes."""
        for weight in network.parameters():
            if weight.ndim == 4:
                weight.data = weight.data.to(memory_format=self.memory_format)

    def lightning_precision(self) -> Any:
        """Return the precision in Lightning's words, "fastest" resolved for this machine."""
        if self.precision != "fastest":
            return self.precision
        if self.device_type == "cuda":
            return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
        return "bf16-mixed" if self.device_type == "cpu" and _cpu_has_bfloat16() else "32-true"

    def prepare(self) -> None:
        """Set this process's threads and memory, before the first tensor is made."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # of nested levels the first
        cores = int(given) if given.isdigit() and int(given) else cores  # what a launcher leaves to each of its jobs
        torch.set_num_threads(self.threads or max(1, cores // self.processes))
        if self.keep_memory and platform.libc_ver()[0] == "glibc":
            libc = ctypes.CDLL(None)
            libc.mallopt(M_MMAP_THRESHOLD, 2**31 - 1)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        if self.deterministic and self.device_type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # costs time, changes no result


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; emulated it is many times slower than 32 bit."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8").split() if info.is_file() else []
    return "avx512_bf16" in flags or "amx_bf16" in flags or ("bf16" in flags and "asimd" in flags)


class Unprofiled(PassThroughProfiler):
    """Measure nothing, at the least cost: Lightning asks some 40 times a step."""

    _nothing = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Return a context that does nothing."""
        return self._nothing


def build_trainer(
    hardware: Hardware,
    *,
    out: Path,
    epochs: int,
    logger: Logger | None,
    callbacks: Sequence[pl.Callback],
    checkpoint_io: CheckpointIO,
    arguments: Mapping[str, Any],
) -> pl.Trainer:
    """Return Lightning's trainer for a run in folder `out`; `arguments` of the user's own win."""
    decided: dict[str, Any] = {
        "accelerator": {"cuda": "gpu"}.get(hardware.device_type, hardware.device_type),
        "devices": hardware.processes,
        "num_nodes": hardware.num_nodes,
        "strategy": _strategy(hardware),
        "precision": hardware.lightning_precision(),
        "accumulate_grad_batches": hardware.accumulate,
        "gradient_clip_val": hardware.clip_norm,
        "sync_batchnorm": hardware.sync_batchnorm,
        "deterministic": "warn" if hardware.deterministic and hardware.device_type == "cuda" else None,
        "max_epochs": epochs,
        "logger": logger or False,
        "profiler": Unprofiled(),
        "callbacks": list(callbacks),
        "plugins": [checkpoint_io, *_cluster()],
        "default_root_dir": out,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
        "enable_checkpointing": any(isinstance(callback, pl.callbacks.Checkpoint) for callback in callbacks),
        "enable_model_summary": False,
        "enable_progress_bar": any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks),
    }
    trainer = pl.Trainer(**{**decided, **arguments})
    # Signals are `track`'s business; among several processes Lightning's handler waits for others that wait for it.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def _cluster() -> list[ClusterEnvironment]:
    """Say that no cluster's launcher is at work where a batch script of SLURM runs the command by itself."""
    alone = "SLURM_NTASKS" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ and not ranks.by_srun()
    return [LightningEnvironment()] if alone else []


def _strategy(hardware: Hardware) -> str | Strategy:
    several = hardware.processes * hardware.num_nodes > 1
    if hardware.strategy == "fsdp":
        return FSDPStrategy(state_dict_type="full")
    if hardware.strategy == "ddp" or several:
        backend = "nccl" if hardware.device_type == "cuda" else "gloo"
        static = hardware.static_graph and hardware.accumulate == 1  # torch cannot do both
        return DDPStrategy(process_group_backend=backend, static_graph=static, find_unused_parameters=not static)
    return "auto"
