"""A tracked run: what is logged goes into its journal, and from there to the store, by other threads."""

from __future__ import annotations

import logging
import math
import os
import posixpath
import re
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from fiducial.errors import InputError
from fiducial.redaction import redact, redact_text
from fiducial.tracking.courier import DELIVERED
from fiducial.tracking.journal import History, Journal, Point, metrics_event
from fiducial.tracking.liveness import FOLDER, Marker, write_whole
from fiducial.tracking.messenger import Messenger, summon
from fiducial.tracking.sender import Sender
from fiducial.tracking.system import PREFIX, Sampler
from fiducial.tracking.tracker import Tracker

logger = logging.getLogger(__name__)

Scalar = str | int | float | bool | None
Item = TypeVar("Item")

_DIGEST = 16  # characters of a hash; MLflow takes 36
_MAX_PARAM, _MAX_TAG, _MAX_KEY = 6000, 5000, 250  # what MLflow takes
_ITEMS_PER_EVENT, _POINTS_PER_EVENT = 50, 500


class Run:
    """One tracked run. Made by `track`, which also ends it; safe to log to from several threads.

    Attributes:
        id: the run's own id (32 hexadecimal digits); MLflow has it as the tag `fiducial.run`.
        out: the run's folder.
        resumed: the run existed before and goes on.

    Raises:
        InputError: a run exists in the folder though none is resumed, or the other way round.
    """

    def __init__(
        self, out: Path, tracker: Tracker, *, name: str, experiment: str, resume: bool, parent: Path | None = None
    ) -> None:
        path = out / FOLDER / "journal.jsonl"
        history = History.of(path)
        if resume and history.run is None:
            raise InputError(f"expected a folder with a run to resume, got {out}, which has none; start without resume")
        if not resume and history.run is not None:
            raise InputError(f"expected a folder without a run, got {out}; resume that run, or choose another folder")
        self.out = out
        self.resumed = resume
        self.id: str = history.run["id"] if history.run else uuid.uuid4().hex
        self._tracker = tracker
        self._params = history.params
        samples = {key: step for key, step in history.last_steps.items() if key.startswith(PREFIX)}
        self._logged_steps = {key: step for key, step in history.last_steps.items() if key not in samples}
        self._points: deque[Point] = deque()
        self._flushing = threading.Lock()
        self._ended = threading.Event()
        self._sender: Sender | Messenger | None = None
        self._marker = Marker.here(self.id, out, tracker.outputs, tracker.shown_uri)
        self._marker.write(tracker.outputs)
        self._journal = Journal(path)
        if resume:
            self._journal.append({"event": "status", "status": "RUNNING", "time": _now()})
            died = {"fiducial.interrupted": "true"} if history.status == "RUNNING" else {}
            self.set_tags({"fiducial.error": ""} | died if history.status != "FINISHED" else {})
        else:
            opened = {"id": self.id, "name": name, "experiment": experiment, "time": _now()}
            if parent is not None:
                opened["parent"] = os.path.relpath(parent, out)
            self._journal.append({"event": "run"} | opened)
        self._writer = threading.Thread(target=self._write_regularly, name="fiducial-journal", daemon=True)
        self._writer.start()
        self._sampler = Sampler(
            self.log_metrics,
            out,
            seconds=tracker.system_metrics_seconds,
            first_step=1 + max(samples.values(), default=-1),
        )
        if tracker.system_metrics_seconds > 0:
            self._sampler.start()

    def log_params(self, params: Mapping[str, Scalar]) -> None:
        """Log parameters; a value that differs from one logged earlier becomes a tag that says so.

        Keys take the letters MLflow allows, values are cut at 6000 characters, secrets are hidden.
        """
        new, changed = {}, {}
        for raw_key, raw_value in params.items():
            key, value = clean_key(raw_key), _cut(redact(raw_key, raw_value), _MAX_PARAM)
            if key not in self._params:
                new[key] = value
            elif self._params[key] != value:
                changed[f"fiducial.changed.{key}"] = f"{self._params[key]} → {value}"
        self._params |= new
        self._journal.append(*({"event": "params", "values": part} for part in _parts(new)))
        if changed:
            self.set_tags(changed)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metric values of one step. Takes microseconds: nothing is written by the calling thread.

        In a resumed run, what the run had logged before it was interrupted is not logged again.
        """
        now = _now()
        for key, value in metrics.items():
            self._points.append((clean_key(key), float(value), now, step))

    def set_tags(self, tags: Mapping[str, Scalar]) -> None:
        """Set tags; a tag set again takes the new value."""
        clean = {clean_key(key): _cut(redact(key, value), _MAX_TAG) for key, value in tags.items()}
        self._journal.append(*({"event": "tags", "values": part} for part in _parts(clean)))

    def log_text(self, text: str, name: str, folder: str = "") -> None:
        """Log a text as the artifact `folder`/`name`; credentials in it are hidden."""
        assert Path(name).name == name, "a name, without a folder"
        path = self.out / FOLDER / "files" / folder / name
        write_whole(path, redact_text(text))
        self.log_file(path, folder)

    def log_file(self, path: Path, folder: str = "") -> None:
        """Log a file as an artifact in `folder`. It is read when it is delivered, so it must stay in place.

        Raises:
            InputError: there is no such file.
        """
        path = path.resolve()
        if not path.is_file():
            raise InputError(f"expected a file to log as an artifact, got {path}, which does not exist")
        shown = path.relative_to(self.out) if path.is_relative_to(self.out) else path
        self._journal.append({"event": "artifact", "path": str(shown), "folder": folder})

    def log_dataset(self, name: str, sha256: str, profile: Mapping[str, Scalar]) -> None:
        """Log what the run learns from: MLflow lists it by name and digest, and can find all runs on it."""
        event = {"event": "dataset", "name": name, "digest": sha256[:_DIGEST], "profile": dict(profile)}
        self._journal.append(event)

    def flush(self) -> None:
        """Write buffered metrics to the journal now.

        To be called before a checkpoint is saved: after a kill, what was logged up to it is then not missing.

        Raises:
            OSError: the disk is full or gone; the metrics stay in memory.
        """
        with self._flushing:
            points = [self._points.popleft() for _ in range(len(self._points))]
            fresh = [point for point in points if self._is_fresh(point)]
            starts = range(0, len(fresh), _POINTS_PER_EVENT)
            parts = (fresh[start : start + _POINTS_PER_EVENT] for start in starts)
            try:
                self._journal.append(*(metrics_event(part) for part in parts))
            except BaseException:  # a full disk, or a signal: written twice is stored once, lost is lost
                self._points.extendleft(reversed(points))
                raise

    def start_delivery(self, *, apart: bool = True) -> None:
        """Start sending to the store.

        A process of its own imports MLflow and sends; a thread where this process has MLflow already, or is to have it.
        In a job of a sweep nothing is sent: the sweep does it for all of its jobs.
        """
        if self._sender is not None or not _is_sent(self._tracker):
            return
        kind = Messenger if apart and "mlflow" not in sys.modules else Sender
        self._sender = kind(self.out, self._tracker)
        self._sender.start()

    def hurry(self) -> None:
        """Do not wait for the store any longer."""
        if self._sender is not None:
            self._sender.hurry()

    def end(self, status: str) -> None:
        """Write down how the run ended and deliver what is left, within the tracker's patience."""
        self._sampler.end()
        self._ended.set()
        self._writer.join()
        written = self._write_end(status)
        self.start_delivery()
        if self._sender is None:
            if self._tracker.uri is None and written:
                self._marker.remove(self._tracker.outputs)
            return
        if self._sender.finish():
            if written:  # else the next run in this folder, or `fiducial doctor`, says how it ended
                self._marker.remove(self._tracker.outputs)
            return
        logger.warning(
            "not everything has reached %s%s: the rest is kept in %s and delivered by the next run in %s, "
            "or by `fiducial doctor`",
            self._tracker.shown_uri,
            f" ({self._sender.error})" if self._sender.error else "",
            self._journal.path,
            self._tracker.outputs,
        )

    def _write_end(self, status: str) -> bool:
        """Return whether the journal has, and keeps, how the run ended."""
        try:
            with closing(self._journal):
                self.flush()
                self._journal.append({"event": "status", "status": status, "time": _now()})
        except OSError as error:
            logger.error("the run's end could not be written to %s: %s", self._journal.path, error)
            return False
        return True

    def _is_fresh(self, point: Point) -> bool:
        """Return whether a point is not one that a resumed run repeats."""
        key, _, _, step = point
        return step > self._logged_steps.get(key, step - 1)

    def _write_regularly(self) -> None:
        """Write metrics every few seconds; with a full disk, keep them and say so once."""
        failed = False
        while not self._ended.wait(self._tracker.flush_seconds):
            try:
                self.flush()
                failed = False
            except OSError as error:
                if not failed:
                    logger.warning("metrics are kept in memory, %s cannot be written: %s", self._journal.path, error)
                failed = True


def prepare_delivery(tracker: Tracker) -> None:
    """Have the store opened by the process that will deliver this one's runs, while this one does other things."""
    if _is_sent(tracker) and "mlflow" not in sys.modules:
        summon(tracker)


def _is_sent(tracker: Tracker) -> bool:
    return tracker.uri is not None and DELIVERED not in os.environ


def clean_key(key: str) -> str:
    """Return a key made of what MLflow allows.

    >>> clean_key("data.sizes[0]"), clean_key("/a//b/../c"), clean_key("")
    ('data.sizes_0_', 'a/c', '_')
    """
    if _PLAIN_KEY.fullmatch(key) and len(key) <= _MAX_KEY:
        return key
    allowed = posixpath.normpath(re.sub(r"[^/\w.\- ]", "_", key).strip("/ "))[:_MAX_KEY].strip("/ ")
    return "_" if allowed in ("", ".", "..") or allowed.startswith("../") else allowed


_PLAIN_KEY = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")


def _cut(text: str, limit: int) -> str:
    """Return as much of a text as a store takes; bytes of a path that are no UTF-8 are written out."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit - 2]} …"


def _parts(values: dict[str, str]) -> Iterator[dict[str, str]]:
    items = list(values.items())
    for start in range(0, len(items), _ITEMS_PER_EVENT):
        yield dict(items[start : start + _ITEMS_PER_EVENT])


def _now() -> int:
    return math.floor(time.time() * 1000)
