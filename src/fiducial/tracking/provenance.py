"""Where a run came from: code, packages, machine and command line."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fiducial.redaction import redact_command, redact_text

PACKAGES = (
    "fiducial",
    "torch",
    "pytorch-lightning",
    "monai",
    "mlflow",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pillow",
)
_MAX_DIFF = 1_000_000
_SHORT = 8  # characters of a hash, for a reader
CODE_TAGS = ("fiducial.version", "mlflow.source.git.commit", "fiducial.git.changes")
# Endings of files whose changes are kept as they are: code, and configurations. Others may hold patients' data.
CODE = (
    ".py",
    ".pyi",
    ".yaml",
    ".yml",
    ".toml",
    ".cfg",
    ".ini",
    ".sh",
    ".slurm",
    ".md",
    ".rst",
    "Makefile",
    "Dockerfile",
)
_GIT_SECONDS = 10


@dataclass(frozen=True)
class Provenance:
    """Facts about a run's origin.

    Attributes:
        command: the command line, secrets hidden.
        commit: git commit of the working folder, None outside a repository (as are `branch` and `dirty`).
        branch: git branch; None with a detached head.
        dirty: files differ from the commit, or are unknown to it.
        diff: the uncommitted changes of known files, secrets hidden, cut at a million characters.
        packages: versions of the main packages.
        python: version of Python.
        platform: operating system, as Python names it.
        host: name of the machine.
        cpu: model of the processor.
        cores: logical cores this process may use.
        memory_gib: memory of the machine.
        gpus: models of the NVIDIA GPUs of the machine.
    """

    command: str
    commit: str | None
    branch: str | None
    dirty: bool | None
    diff: str
    packages: Mapping[str, str]
    python: str
    platform: str
    host: str
    cpu: str
    cores: int
    memory_gib: float
    gpus: tuple[str, ...]

    @property
    def changes(self) -> str | None:
        """Hash of `diff`, None where there is none."""
        return sha256(self.diff.encode()).hexdigest()[:16] if self.diff else None

    def as_tags(self) -> dict[str, str]:
        """Return what is worth filtering runs by."""
        tags = {
            "fiducial.command": self.command,
            "fiducial.version": self.packages.get("fiducial", ""),
            "fiducial.host": self.host,
            "fiducial.cpu": self.cpu,
            "fiducial.gpus": ", ".join(self.gpus),
            "mlflow.source.git.commit": self.commit or "",
            "mlflow.source.git.branch": self.branch or "",
            "fiducial.git.changes": self.changes or "",
            "fiducial.git.dirty": "" if self.dirty is None else str(self.dirty).lower(),
        }
        return {key: value for key, value in tags.items() if value}

    def as_dict(self) -> dict[str, Any]:
        """Return everything, of the diff its hash, ready for JSON or YAML."""
        facts = {key: value for key, value in asdict(self).items() if key != "diff"}
        return {**facts, "gpus": list(self.gpus), "changes": self.changes}


def collect(argv: Sequence[str], cwd: Path) -> Provenance:
    """Return the origin of a run that was started with `argv` in folder `cwd`. Imports nothing heavy."""
    import psutil

    commit = _git(cwd, "rev-parse", "HEAD")
    status = _git(cwd, "status", "--porcelain") if commit else None
    diff = _changes(cwd) if status else ""
    return Provenance(
        command=redact_command(argv),
        commit=commit,
        branch=_git(cwd, "symbolic-ref", "--short", "--quiet", "HEAD") if commit else None,
        dirty=None if status is None else bool(status),
        diff=_bounded(redact_text(diff[: 2 * _MAX_DIFF])),
        packages=installed(),
        python=platform.python_version(),
        platform=platform.platform(),
        host=socket.gethostname(),
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        gpus=_gpu_models(),
    )


def code_of(version: str | None, commit: str | None, changes: str | None) -> str:
    """Return what tells code apart, for a reader; empty if nothing is known of it.

    >>> code_of("0.1.0", "869c66a6c5569386", "4be01dc2aa01"), code_of("0.1.0", None, None)
    ('fiducial 0.1.0, commit 869c66a6 with changes 4be01dc2', 'fiducial 0.1.0')
    """
    parts = [f"fiducial {version}"] if version else []
    if commit:
        parts.append(f"commit {commit[:_SHORT]}" + (f" with changes {changes[:_SHORT]}" if changes else ""))
    return ", ".join(parts)


def _changes(cwd: Path) -> str:
    """Return what is not committed of code and configurations; of other files, which may hold data, a hash."""
    whole = _git(cwd, "diff", "HEAD", "--no-ext-diff") or ""
    shown = _git(cwd, "diff", "HEAD", "--no-ext-diff", "--", *(f":(top)*{end}" for end in CODE)) or ""
    if shown == whole:
        return shown
    return f"{shown}\n# and changes of other files, which may hold data: SHA-256 {sha256(whole.encode()).hexdigest()}\n"


def _git(cwd: Path, *arguments: str) -> str | None:
    """Return what git says; None outside a repository, without git, or when it takes too long."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=cwd,
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").rstrip("\n")


def _bounded(diff: str) -> str:
    return diff if len(diff) <= _MAX_DIFF else f"{diff[:_MAX_DIFF]}\n… cut at {_MAX_DIFF} characters\n"


@cache
def installed() -> dict[str, str]:
    """Return the versions of the packages that a run depends on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _gpu_models() -> tuple[str, ...]:
    """Return the GPUs as the driver lists them, without loading CUDA."""
    models = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = path.read_text(encoding="utf-8").splitlines()
        models += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return tuple(models)
