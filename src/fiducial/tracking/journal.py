"""The journal of a run: every tracking event as one JSON line, written before anything is sent anywhere.

A journal is complete by itself: whatever a store lost or never received can be delivered from it again.

Events, by their key `event`:
    run       `id`, `name`, `experiment`, `time` (ms since the epoch), and perhaps `parent` (folder of the run that
              it belongs to, relative to its own); always the first line
    params    `values` {key: text}
    tags      `values` {key: text}
    metrics   `points` [[key, value, time in ms, step], ...]; a value may be the text "nan", "inf" or "-inf"
    artifact  `path` (relative to the run's folder, or absolute), `folder` (inside the store)
    dataset   `name`, `digest`, `profile`: what the run learns from, without any path
    nested    `name`, `parent`: what the run is called from here on, and which one it belongs to
    status    `status` RUNNING, FINISHED, FAILED or KILLED, `time` in ms
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]
Point = tuple[str, float, int, int]

_TAIL_BLOCK = 1 << 16


class Journal:
    """An append-only file of events; safe to append to from several threads of one process.

    Args:
        path: the file; made if missing. A last line torn by a kill is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = _end_of_whole_lines(self._descriptor)
        os.ftruncate(self._descriptor, self._size)

    @property
    def size(self) -> int:
        """Length in bytes; an offset up to which everything can be read."""
        return self._size

    def append(self, *events: Event) -> None:
        """Append events as one write.

        Raises:
            OSError: the disk is full or gone; nothing of `events` is kept.
        """
        lines = "".join(json.dumps(event, separators=(",", ":"), allow_nan=False) + "\n" for event in events)
        data = lines.encode()
        with self._lock:
            try:
                written = 0
                while written < len(data):  # a full disk takes a part; the next write names the reason
                    written += os.write(self._descriptor, data[written:])
            except BaseException:
                os.ftruncate(self._descriptor, self._size)
                raise
            self._size += len(data)

    def close(self) -> None:
        """Put everything on the disk and close the file."""
        with self._lock:
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)
                self._descriptor = -1


def read(path: Path, start: int = 0) -> Iterator[tuple[Event, int]]:
    """Yield each whole event from byte `start` on, with the offset behind it.

    A damaged line is yielded as `{"event": "unreadable"}`.
    """
    with path.open("rb") as file:
        file.seek(start)
        offset = start
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            yield (event if isinstance(event, dict) else {"event": "unreadable"}), offset


def metrics_event(points: list[Point]) -> Event:
    """Return the event of some metric points."""
    return {
        "event": "metrics",
        "points": [
            [key, value if math.isfinite(value) else str(value), time, step] for key, value, time, step in points
        ],
    }


@dataclass
class History:
    """What a journal holds, as needed to go on from there.

    Attributes:
        run: the event that opened the run, if any.
        name: what the run is called by now.
        parent: folder of the run that it belongs to by now, relative to its own; empty if it belongs to none.
        status: the last status.
        params: each parameter's value.
        last_steps: each metric's greatest step.
    """

    run: Event | None = None
    name: str = ""
    parent: str = ""
    status: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    last_steps: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> History:
        """Read a journal; a missing file gives an empty history."""
        history = cls()
        if not path.exists():
            return history
        for event, _ in read(path):
            match event["event"]:
                case "run":
                    history.run, history.status = event, "RUNNING"
                    history.name, history.parent = event.get("name", ""), event.get("parent", "")
                case "nested":
                    history.name, history.parent = event["name"], event["parent"]
                case "status":
                    history.status = event["status"]
                case "params":
                    history.params |= event["values"]
                case "metrics":
                    for key, _, _, step in event["points"]:
                        history.last_steps[key] = max(step, history.last_steps.get(key, step))
        return history


def _end_of_whole_lines(descriptor: int) -> int:
    """Return the offset behind the last newline of a file."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _TAIL_BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
