"""Which runs there are already: done ones are not run again, interrupted ones go on, living ones are left alone."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from fiducial.runs import folder
from fiducial.tracking.journal import History
from fiducial.tracking.liveness import FOLDER, PAUSES, is_alive, locked

Standing = Literal["missing", "done", "pruned", "running", "failed", "interrupted"]
WAITED_FOR = 3  # living runs, each most of a second, in case that a process only looks at them


class Ledger:
    """The runs of an outputs folder by their identity, as they were when it was read.

    Args:
        outputs: the folder of all runs.
    """

    def __init__(self, outputs: Path) -> None:
        self._runs: defaultdict[str, list[Path]] = defaultdict(list)
        self._num_alive = 0
        for run, record in folder.records(outputs):
            self._runs[record.identity].append(run)

    def standing(self, identity: str) -> tuple[Standing, Path | None]:
        """Return how the runs with this identity stand, and the one that counts: a finished one, else the latest."""
        latest = sorted(self._runs.get(identity, []), key=_age)
        for run in latest:
            if folder.is_finished(run) and (folder.is_settled(run) or self._is_alive(run)):
                return "done", run
        for run in latest:
            if self._is_alive(run):
                return "running", run
        return (_ending(latest[0]), latest[0]) if latest else ("missing", None)

    def _is_alive(self, run: Path) -> bool:
        """Tell whether a process has a run in its hands; where many have, they are not waited for one by one."""
        found = is_alive(run, pauses=PAUSES if self._num_alive < WAITED_FOR else (0.0,))
        self._num_alive += found
        return found


@contextmanager
def claimed(outputs: Path, identity: str) -> Iterator[None]:
    """Be the only process, of this machine's, that runs what has this identity.

    Raises:
        LockHeldError: another one does.
    """
    path = outputs / "active" / f"{identity}.claim"
    while True:
        with locked(path) as descriptor:
            try:
                current = os.stat(path).st_ino == os.fstat(descriptor).st_ino
            except FileNotFoundError:
                current = False
            if not current:  # its last owner took the file away between our opening and our locking it
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _age(run: Path) -> float:
    return -run.stat().st_mtime


def _ending(run: Path) -> Standing:
    if (run / PRUNED).is_file():
        return "pruned"
    return "failed" if History.of(run / FOLDER / "journal.jsonl").status == "FAILED" else "interrupted"


PRUNED = "pruned.json"  # what a pruned run leaves in its folder instead of scores
