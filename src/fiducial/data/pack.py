"""Many small image files as one memory-mapped array, decoded once.

Reading an epoch is then one gather from the page cache; worker processes and runs share the same memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

READER = 2  # goes up whenever the same file and options give other pixels
THREADS = 4
CHUNK = 512  # files decoded between two looks at the progress bar


def key_of(files: Sequence[Path], root: Path, options: Mapping[str, Any]) -> str:
    """Return a hash that changes when any file (path, size, time of change) or option does.

    Raises:
        InputError: a file is missing.
    """
    digest = hashlib.sha256(json.dumps([READER, options], sort_keys=True, default=list).encode())
    for file in files:
        name = file.relative_to(root) if file.is_relative_to(root) else file
        try:
            state = file.stat()
        except OSError as error:
            raise InputError(f"case {name}: there is no image {file} ({error.strerror})") from error
        digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def packed(
    count: int, key: str, read: Callable[[int], NDArray[Any]], shape: tuple[int, ...], cache: Path
) -> NDArray[Any]:
    """Return all images, `(count, *shape)`, mapped from the cache folder; decode them first if they are not there.

    Processes that ask together wait for the one that decodes.

    Raises:
        InputError: an image cannot be read, or the cache folder cannot be written to or is full.
    """
    import numpy as np
    from filelock import FileLock

    path = cache / "images" / f"{key[:24]}.npy"
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if not path.is_file():
                    _write(path, count, read, shape)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{path} cannot be written ({reason}); set cache_dir to another folder") from error
    mapped: NDArray[Any] = np.load(path, mmap_mode="r")
    return mapped


def _write(path: Path, count: int, read: Callable[[int], NDArray[Any]], shape: tuple[int, ...]) -> None:
    import numpy as np

    first = read(0)
    check_space(path, count * first.nbytes)
    part = path.with_suffix(".part")
    try:
        array = np.lib.format.open_memmap(part, mode="w+", dtype=first.dtype, shape=(count, *shape))
        reserve(part)
        _fill(array, read)
        array.flush()
        del array
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _fill(array: NDArray[Any], read: Callable[[int], NDArray[Any]]) -> None:
    from rich.console import Console
    from rich.progress import track

    def decode(index: int) -> None:
        image = read(index)
        assert image.dtype == array.dtype  # one choice of intensity gives one type
        array[index] = image

    starts = range(0, len(array), CHUNK)
    with ThreadPoolExecutor(THREADS) as pool:
        for start in track(starts, "decoding images", transient=True, console=Console(stderr=True)):
            list(pool.map(decode, range(start, min(start + CHUNK, len(array)))))


def reserve(part: Path) -> None:
    """Claim the whole file's room: a disk that fills up under a mapped file kills the process."""
    if hasattr(os, "posix_fallocate"):
        with part.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, part.stat().st_size)


def check_space(path: Path, needed: int) -> None:
    """Refuse to write what the disk has no room for.

    Raises:
        InputError: saying how much is needed, and how much is free.
    """
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"decoded images need {needed / 2**20:.0f} MiB in {path.parent}, {free / 2**20:.0f} MiB are free; "
            "set cache_dir to another disk, or data.source.pack=false to decode images at every epoch"
        )
