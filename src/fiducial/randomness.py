"""Every random draw is a function of (seed, what it is for, epoch, rank, step).

A run that was killed and resumed then draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import random
from hashlib import blake2b

import numpy as np
import torch


def derive(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) that follows from `parts` alone, on every machine.

    >>> derive(0, "order", 3) == derive(0, "order", 3) != derive(0, "order", 4)
    True
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator on `device`, seeded by `parts`."""
    return torch.Generator(device).manual_seed(derive(*parts))


def reseed(*parts: int | str) -> None:
    """Seed the global generators of Python, NumPy and torch by `parts`."""
    seed = derive(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
