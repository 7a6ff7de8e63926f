"""What is said when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fiducial.errors import InputError


@contextmanager
def explained() -> Iterator[None]:
    """Turn a full memory into a message that says what needs less.

    Raises:
        InputError: the memory of the device was full.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = (str(error).splitlines() or [""])[0]
        if isinstance(error, torch.OutOfMemoryError):
            where = "the GPU's memory"
        elif isinstance(error, MemoryError) or "can't allocate memory" in text:
            where = "this machine's memory"
        else:
            raise
        raise InputError(
            f"{where} is full ({text}). A smaller data.batch_size, with hardware.accumulate=2 for the same mean "
            "gradient, hardware.precision=bf16-mixed or a smaller model need less"
        ) from error
