"""The run of a process that must not log: every process of a distributed run but the first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fiducial.tracking.run import Scalar


class NullRun:
    """Takes what a run takes and keeps nothing: for the other processes of a distributed run."""

    id = ""
    resumed = False

    def __init__(self, out: Path) -> None:
        self.out = out

    def log_params(self, params: Mapping[str, Scalar]) -> None:
        """Keep nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep nothing."""

    def set_tags(self, tags: Mapping[str, Scalar]) -> None:
        """Keep nothing."""

    def log_text(self, text: str, name: str, folder: str = "") -> None:
        """Keep nothing."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep nothing."""

    def log_dataset(self, name: str, sha256: str, profile: Mapping[str, Scalar]) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """Keep nothing."""

    def start_delivery(self, *, apart: bool = True) -> None:
        """Keep nothing."""
