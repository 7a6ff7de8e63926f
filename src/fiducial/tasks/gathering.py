"""Values of an epoch, kept a batch at a time and joined over batches and processes at its end.

A step only appends; nothing is computed and no process waits for another before the epoch ends.
"""

from __future__ import annotations

import torch
from torch import distributed
from torchmetrics.utilities.distributed import gather_all_tensors

from fiducial.types import Float, Tensor


def _everywhere(values: Tensor, device: torch.device) -> list[Tensor]:
    """Return the tensors of all processes, which may differ in their length, on the CPU."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [values.cpu()]
    return [part.cpu() for part in gather_all_tensors(values.to(device))]


class Gathered:
    """Tensors by name, joined along the first axis."""

    def __init__(self) -> None:
        self._batches: dict[str, list[Tensor]] = {}

    def add(self, count: int, /, **values: Tensor) -> None:
        """Append the first `count` cases of a batch."""
        for name, value in values.items():
            self._batches.setdefault(name, []).append(value.detach()[:count])

    def join(self, device: torch.device) -> dict[str, Tensor]:
        """Return everything that all processes added, on the CPU, and forget it."""
        batches, self._batches = self._batches, {}
        return {name: torch.cat(_everywhere(torch.cat(values), device)) for name, values in batches.items()}


class Mean:
    """Mean of a value over all cases, from the part that each process has of each batch's mean."""

    def __init__(self) -> None:
        self._parts: list[Float[Tensor, ""]] = []
        self._sizes: list[float | Tensor] = []

    def add(self, part: Float[Tensor, ""], size: float | Tensor) -> None:
        """Append a batch: the parts of all processes sum to its mean, which counts by its size."""
        self._parts.append(part)
        self._sizes.append(size)

    def compute(self, device: torch.device) -> Float[Tensor, ""]:
        """Return the mean over all processes, and forget what it was made from."""
        parts = torch.stack(self._parts)
        sizes = torch.tensor([float(size) for size in self._sizes], dtype=torch.float64)
        self._parts, self._sizes = [], []
        total = torch.stack(_everywhere(parts.float(), device)).double().sum(0)
        return (total * sizes).sum() / sizes.sum()
