"""Whether an image fits into memory, told from its header before it is read."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

from fiducial.errors import InputError

LIMIT, USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
BYTES = 4  # of a value, as it is prepared


def free_bytes() -> int:
    """Return the memory that is left to this process: of the machine, or of the container that it runs in."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        return min(free, int(LIMIT.read_text()) - int(USED.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return free


def check_room(shape: Sequence[int], path: Path) -> None:
    """Refuse an image that is larger than the memory that is left.

    Raises:
        InputError: naming the file, what it needs and what there is.
    """
    needed = BYTES * prod(int(extent) for extent in shape)
    if needed > 2**28 and needed > (free := free_bytes()):  # small ones are not worth the question
        size = " × ".join(str(extent) for extent in shape)
        raise InputError(
            f"{path}: this image of {size} values takes {needed / 2**30:.1f} GiB, more than the {free / 2**30:.1f} GiB "
            "of memory that are left. Crop or resample it beforehand, leave the case out, or use a machine with more"
        )
