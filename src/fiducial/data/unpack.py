"""Arrays of an .npz file that are too large for memory, written once into one memory-mapped file."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fiducial.data.pack import check_space, reserve
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK_BYTES = 64 * 2**20  # read at a time


def unpacked(path: Path, keys: Sequence[str], name: str, cache: Path) -> NDArray[Any]:
    """Return arrays of an .npz file one after the other, mapped from the cache folder; unpack them if need be.

    Processes that ask together wait for the one that unpacks.

    Args:
        path: the file.
        keys: its arrays, alike but for their first axis.
        name: what tells the file from others, such as its checksum.
        cache: folder for derived files.

    Raises:
        InputError: the file is damaged, or the cache folder cannot be written to or is full.
    """
    import numpy as np
    from filelock import FileLock

    target = cache / "images" / f"{name}.npy"
    if not target.is_file():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{target}.lock"):
                if not target.is_file():
                    _unpack(path, keys, target)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{target} cannot be written ({reason}); set cache_dir to another folder") from error
    mapped: NDArray[Any] = np.load(target, mmap_mode="r")
    return mapped


def _unpack(path: Path, keys: Sequence[str], target: Path) -> None:
    import numpy as np

    part = target.with_suffix(".part")
    with zipfile.ZipFile(path) as archive:
        headers = [_header(archive, key) for key in keys]
        counts, (_, inner, dtype) = [shape[0] for shape, *_ in headers], headers[0]
        assert all((rest, kind) == (inner, dtype) for _, rest, kind in headers), "arrays alike but for their length"
        check_space(target, sum(counts) * int(np.prod(inner)) * dtype.itemsize)
        try:
            array = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=(sum(counts), *inner))
            reserve(part)
            start = 0
            for key, count in zip(keys, counts, strict=True):
                with archive.open(f"{key}.npy") as member:
                    _read_header(member)
                    _fill(array[start : start + count], member)
                start += count
            array.flush()
            del array
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def _fill(array: NDArray[Any], member: IO[bytes]) -> None:
    """Read an array a few rows at a time."""
    import numpy as np

    row_bytes = array[0].nbytes
    rows = max(1, CHUNK_BYTES // row_bytes)
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        content = member.read(part.nbytes)
        part[...] = np.frombuffer(content, array.dtype).reshape(part.shape)


def _header(archive: zipfile.ZipFile, key: str) -> tuple[tuple[int, ...], tuple[int, ...], np.dtype[Any]]:
    with archive.open(f"{key}.npy") as member:
        shape, dtype = _read_header(member)
    return shape, shape[1:], dtype


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read an array's header; what would need a pickle, or lies in Fortran's order, is none of ours.

    Raises:
        ValueError: the array is of such a kind.
    """
    from numpy.lib import format as npy

    version = npy.read_magic(member)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if fortran or dtype.hasobject:
        raise ValueError("an array of numbers in C order was expected")
    return shape, dtype
