"""Prepared cases, each prepared once: kept as memory-mapped files that all processes share, bounded on disk."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fiducial.data.masked import MaskedSource
from fiducial.data.sample import Sample
from fiducial.errors import InputError

FACTS, ROOM = "facts.json", "room"  # of a case; the bytes that all cases take
READING = 3  # part of what a case is kept under; goes up when files are read as something else
PART = ".part-"  # of a folder that is being written or deleted
MAPPED = 128  # cases mapped at once; each of their arrays takes a file handle, of which a process has some 1,000
ATTEMPTS = 3  # to read a case that other processes keep deleting


class Prepare(Protocol):
    """Whatever brings a case to the form in which the network sees it."""

    @property
    def key(self) -> str:
        """What the result depends on, besides the case."""

    @property
    def orientation(self) -> str | None:
        """Where the axes of a prepared volume lead, such as RAS; None if that differs from case to case."""

    def __call__(self, sample: Sample) -> Sample:
        """Return the prepared case."""


def axes_of(prepare: Prepare | None, dims: int) -> str | None:
    """Where each spatial axis of prepared volumes leads, such as RAS; None if nobody knows, and for pictures."""
    return prepare.orientation if prepare is not None and dims == 3 else None


class PreparedCases:
    """The cases of a source, prepared when they are first asked for.

    A case lies in `<cache>/prepared/<hash of its content and preparation>/`, written aside and renamed, and is mapped
    into memory: what is read of it is what a patch needs, the operating system keeps in memory what fits, and all
    workers and runs share it. Without a cache folder, cases stay in memory.

    Args:
        source: of the cases.
        prepare: None takes cases as they are.
        limit_gib: room on disk for all prepared cases together; those unused for longest give way.
    """

    def __init__(self, source: MaskedSource, prepare: Prepare | None = None, *, limit_gib: float = 50.0) -> None:
        self.source, self.prepare, self.limit = source, prepare, int(limit_gib * 2**30)
        self._open: dict[int, Sample] = {}  # the one asked for last is the last
        self._used: set[Path] = set()
        self._told = False

    def __len__(self) -> int:
        return len(self.source.cases)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_open": {}, "_used": set()}  # a worker maps the files itself

    def __getitem__(self, row: int) -> Sample:
        """Return a prepared case.

        Raises:
            InputError: a file cannot be used, or the cache folder cannot be written to.
        """
        sample = self._open.pop(row) if row in self._open else self._fetched(row)
        self._open[row] = sample
        if self.source.cache is not None and len(self._open) > MAPPED:
            del self._open[next(iter(self._open))]
        return sample

    def _fetched(self, row: int) -> Sample:
        if self.source.cache is None:
            return self._made(row)
        made_by = self.prepare.key if self.prepare else ""
        key = hashlib.sha256(f"{self.source.identity(row)}\n{READING}\n{made_by}".encode())
        folder = self.source.cache / "prepared" / key.hexdigest()[:24]
        for _ in range(ATTEMPTS):
            made = None if _is_there(folder) else self._made(row)
            try:
                if made is not None:
                    self._write(folder, made)
                with suppress(PermissionError):  # of another user's case
                    os.utime(folder)
                sample = _read(folder)
            except FileNotFoundError:  # another process needed the room, or somebody deleted a part of it
                _delete(folder)
                continue
            except OSError as error:
                raise _unusable(folder, error) from error
            self._used.add(folder)
            return sample
        raise InputError(f"{folder}: other processes keep deleting this prepared case; raise data.cache_limit_gib")

    def _made(self, row: int) -> Sample:
        sample = self.source.sample(row)
        return prepared(sample, self.prepare, f"case {self.source.cases.case[row]}")

    def _write(self, folder: Path, sample: Sample) -> None:
        parts = {"image": sample.image, "mask": sample.mask, "region": sample.region}
        arrays = {name: array for name, array in parts.items() if array is not None}
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._reserve(folder.parent, sum(array.nbytes for array in arrays.values()))
        aside = _new_aside(folder)
        try:
            for name, array in arrays.items():
                np.save(aside / f"{name}.npy", array, allow_pickle=False)
            affine = None if sample.affine is None else sample.affine.tolist()
            (aside / FACTS).write_text(json.dumps({"affine": affine, "arrays": sorted(arrays)}))
            _rename(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _reserve(self, parent: Path, needed: int) -> None:
        """Note that a case will be there, and make room for it: all are looked at when what is noted is too much."""
        with (parent / ROOM).open("a+") as room:
            fcntl.flock(room, fcntl.LOCK_EX)  # until it is closed
            room.seek(0)
            noted = room.read()
            total = int(noted) if noted.isdecimal() else self.limit
            if total + needed > self.limit:
                total, deleted = _make_room(parent, needed, self.limit)
                self._tell(deleted)
            room.truncate(0)
            room.write(str(total + needed))

    def _tell(self, deleted: set[Path]) -> None:
        if deleted & self._used and not self._told:
            self._told = True
            print(
                f"data.cache_limit_gib={self.limit / 2**30:g} is used up: cases of this run give way, and are prepared "
                "again when their turn comes, which takes time. Raise it, or let data.prepare crop more",
                file=sys.stderr,
            )


def _read(folder: Path) -> Sample:
    facts = json.loads((folder / FACTS).read_text())
    arrays: dict[str, NDArray[Any]] = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in facts["arrays"]
    }
    affine = None if facts["affine"] is None else np.array(facts["affine"], np.float64)
    return Sample(arrays["image"], arrays.get("mask"), arrays.get("region"), affine)


def _is_there(folder: Path) -> bool:
    try:
        return (folder / FACTS).is_file()
    except OSError as error:
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> InputError:
    reason = error.strerror or error
    return InputError(f"{folder} cannot be read or written ({reason}); set cache_dir to another folder")


def _new_aside(folder: Path) -> Path:
    """Make a folder beside another, with the rights of any folder: several users may share the cache."""
    aside = folder.parent / f"{PART}{secrets.token_hex(8)}"
    aside.mkdir()
    return aside


def _rename(aside: Path, folder: Path) -> None:
    """Put a folder in its place; another process may have been faster with the same content."""
    try:
        aside.rename(folder)
    except OSError:
        if not (folder / FACTS).is_file():  # a part of a case is in the way
            _delete(folder)
            aside.rename(folder)


def _make_room(parent: Path, needed: int, limit: int) -> tuple[int, set[Path]]:
    """Delete the cases unused for longest until there is room; return the bytes that are taken then, and what went.

    Raises:
        InputError: one case alone is more than the limit.
    """
    if needed > limit:
        raise InputError(
            f"one prepared case takes {needed / 2**30:.2f} GiB, more than all may take together "
            f"(data.cache_limit_gib={limit / 2**30:g})"
        )
    _forget_abandoned(parent)
    sizes = {entry: _size(entry) for entry in parent.iterdir() if entry.is_dir()}
    total, deleted = sum(sizes.values()), set()
    cases = [folder for folder in sizes if not folder.name.startswith(PART)]
    for folder in sorted(cases, key=_last_use):
        if total + needed <= limit:
            break
        _delete(folder)
        deleted.add(folder)
        total -= sizes[folder]
    return total, deleted


def _delete(folder: Path) -> None:
    """Delete a case, if it is there: at once for those who look for it, whatever happens in the middle."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = _new_aside(folder)
    with suppress(FileNotFoundError):  # another process was faster
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _forget_abandoned(parent: Path, seconds: float = 3600) -> None:
    """Delete what a killed process left half written."""
    for entry in parent.glob(f"{PART}*"):
        if time.time() - _last_use(entry) > seconds:
            shutil.rmtree(entry, ignore_errors=True)


def _last_use(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _size(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return 0


def prepared(sample: Sample, prepare: Prepare | None, name: str) -> Sample:
    """Return a case as a network takes it.

    Raises:
        InputError: it has NaN or infinite pixels, or cannot be prepared.
    """
    _check_values(sample, name)
    try:
        return sample if prepare is None else prepare(sample)
    except (MemoryError, RuntimeError, ValueError) as error:
        raise InputError(f"{name}: it cannot be prepared: {error}") from error


def _check_values(sample: Sample, name: str) -> None:
    image = sample.image
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        count = np.count_nonzero(~np.isfinite(image))
        raise InputError(
            f"{name}: {count} of {image.size} pixels are NaN or infinite; replace them, or leave the case out"
        )
