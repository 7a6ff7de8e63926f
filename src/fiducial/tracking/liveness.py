"""Which runs are alive: a lock that dies with its process, and a marker per run that is not settled yet.

And processes that end with the one that started them.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path

from fiducial.errors import InputError

FOLDER = "tracking"
PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)
PAUSES = (0.05, 0.2, 0.5, 0.0)  # seconds until a lock is tried again: who only looks gives it back within milliseconds


class LockHeldError(Exception):
    """A lock is held by another process."""


_descriptors: set[int] = set()


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold an exclusive lock on a file, without waiting; gives the file's descriptor.

    A process forked meanwhile does not hold it: the lock is gone when its owner is, though workers live on.

    Raises:
        LockHeldError: somebody else has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    _descriptors.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeldError(path) from None
        yield descriptor
    finally:
        if descriptor in _descriptors:  # else this is a forked process, where it is closed
            _descriptors.remove(descriptor)
            os.close(descriptor)


def _let_go_in_child() -> None:
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def alive(out: Path) -> Iterator[None]:
    """Hold the lock of a run's folder for as long as the run lives.

    Raises:
        InputError: another process has a run in this folder.
    """
    path = out / FOLDER / "lock"
    with ExitStack() as stack:
        descriptor = _patiently_locked(path, stack)
        if descriptor is None:
            raise InputError(
                f"expected a folder that no other run is using, got {out}, in use by process "
                f"{path.read_text(encoding='utf-8') or '?'}; wait for it, stop it, or choose another folder"
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield


def is_alive(out: Path, *, pauses: Sequence[float] = PAUSES) -> bool:
    """Tell whether a process has the run in a folder in its hands, rather than only a look at it.

    Args:
        out: the run's folder.
        pauses: seconds until its lock is tried again, each time that it is held.
    """
    path = out / FOLDER / "lock"
    if not path.exists():
        return False
    with ExitStack() as stack:
        return _patiently_locked(path, stack, pauses) is None


def _patiently_locked(path: Path, stack: ExitStack, pauses: Sequence[float] = PAUSES) -> int | None:
    """Take a lock until `stack` ends, unless it is held for longer than by one who only looks; then None."""
    for pause in pauses:
        try:
            return stack.enter_context(locked(path))
        except LockHeldError:
            time.sleep(pause)
    return None


@dataclass(frozen=True)
class Marker:
    """A run that is alive, or not fully delivered. Finding such runs costs a listing of one small folder.

    Attributes:
        id: the run's id.
        out: the run's folder, relative to the outputs folder where it lies inside.
        pid: process that started it.
        host: machine of that process.
        uri: store it is tracked in, without credentials; None for none.
        boot: of the machine's kernel, which all containers on it share, whatever they call themselves.
    """

    id: str
    out: str
    pid: int
    host: str
    uri: str | None
    boot: str = ""

    @classmethod
    def here(cls, run_id: str, out: Path, outputs: Path, uri: str | None) -> Marker:
        """Return the marker of a run of this process."""
        shown = out.relative_to(outputs) if out.is_relative_to(outputs) else out
        return cls(run_id, str(shown), os.getpid(), socket.gethostname(), uri, _boot())

    @property
    def is_here(self) -> bool:
        """Whether the run was started on this machine, where its lock tells whether it is alive."""
        return self.host == socket.gethostname() or (self.boot != "" and self.boot == _boot())

    @classmethod
    def all_in(cls, outputs: Path) -> list[Marker]:
        """Return the markers in an outputs folder, oldest first."""
        found = []
        for path in (outputs / "active").glob("*.json"):
            try:
                found.append((path.stat().st_mtime, cls(**json.loads(path.read_text(encoding="utf-8")))))
            except (OSError, ValueError, TypeError):  # settled meanwhile, or written by another version
                continue
        return [marker for _, marker in sorted(found, key=itemgetter(0))]

    def write(self, outputs: Path) -> None:
        """Put the marker in place."""
        write_whole(self._path(outputs), json.dumps(asdict(self)))

    def remove(self, outputs: Path) -> None:
        """Take the marker away: the run is settled."""
        self._path(outputs).unlink(missing_ok=True)

    def folder(self, outputs: Path) -> Path:
        """Return the run's folder."""
        return outputs / self.out

    def _path(self, outputs: Path) -> Path:
        return outputs / "active" / f"{self.id}.json"


@cache
def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")  # Linux
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def end_with_parent(number: int) -> None:
    """Have the system send a signal to this process when the one that started it ends, however it does (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def write_whole(path: Path, text: str, *, lasting: bool = False) -> None:
    """Write a small file so that a reader sees the old content or the new one, never a part.

    Args:
        path: of the file.
        text: its content.
        lasting: also after a power loss, which leaves others empty; takes some milliseconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)
