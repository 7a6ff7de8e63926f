"""What is said where the message of a library names no way out."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from fiducial.errors import InputError


@contextmanager
def with_room(out: Path) -> Iterator[None]:
    """Turn a full disk, met while the run in folder `out` writes anything, into a message that says what to do.

    Raises:
        InputError: no space, or none of the user's quota, is left.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        file, free = error.filename or out, shutil.disk_usage(out).free / 2**20
        raise InputError(
            f"{file} could not be written: {error.strerror} ({free:.0f} MiB are free on the disk of {out}); free some "
            "space and resume the run"
        ) from error


@contextmanager
def explained() -> Iterator[None]:
    """Turn a full memory, or a batch too small to normalise, into a message that says what to change.

    Raises:
        InputError: either happened.
    """
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("Expected more than 1 value per channel"):
            raise
        raise InputError(
            "the network's batch normalisation has a single value per channel to normalise: its last maps are of one "
            "pixel, and a process trained on one case at a time. Expected at least two cases for each process: a "
            "larger data.batch_size"
        ) from error
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
