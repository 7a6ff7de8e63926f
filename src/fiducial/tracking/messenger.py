"""The process that delivers a run while it trains, so that MLflow takes nothing from the Python of the training.

It is told what to do by lines on its standard input: a store to open, a run to deliver, to finish, to hurry. It answers
once a run, by a line on its standard output, when all is delivered or patience is at an end, and is then there for the
next run of the process that started it, with which it ends.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from fiducial.tracking import store
from fiducial.tracking.liveness import end_with_parent
from fiducial.tracking.sender import Sender
from fiducial.tracking.tracker import Tracker

FINISH, HURRY = "finish", "hurry"
NICE = 5  # training comes first

_waiting: dict[int, subprocess.Popen[bytes]] = {}  # for the next run of a process; forked ones have none yet


class Messenger:
    """A `Sender` in a process of its own.

    Args:
        out: the run's folder.
        tracker: where it is delivered to, how often, and how patiently at the end.
    """

    def __init__(self, out: Path, tracker: Tracker) -> None:
        self.error: str | None = None
        self._order = _order(tracker, out)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; what it may know of credentials goes through a pipe, where no other user sees it."""
        self._process = _waiting.pop(os.getpid(), None)
        if self._process is None or self._process.poll() is not None:
            try:
                self._process = _start()
            except OSError as error:  # no memory, no more processes: training goes on
                self.error = f"the process that delivers it did not start: {error}"
        _tell(self._process, self._order)

    def hurry(self) -> None:
        """Do not wait any longer: the user asks a second time."""
        _tell(self._process, HURRY)

    def finish(self) -> bool:
        """Deliver the rest; return whether everything has arrived."""
        if self._process is None:
            return False
        assert self._process.stdout is not None, "a pipe"
        _tell(self._process, FINISH)
        answer = self._process.stdout.readline()
        if not answer:
            _end(self._process)
            self.error = f"the process that delivers it ended with {self._process.returncode}"
            return False
        _waiting[os.getpid()] = self._process
        said = json.loads(answer)
        self.error = said["error"]
        return bool(said["arrived"])


def summon(tracker: Tracker) -> None:
    """Have the process import MLflow and open the store, so that both are done when a run is there to be delivered.

    It takes seconds, and longer where the database is to be made: as long as this process imports torch meanwhile.
    """
    with suppress(OSError):  # the run itself tries again, and says so
        _waiting[os.getpid()] = process = _start()
        _tell(process, _order(tracker))


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-c", "from fiducial.tracking.messenger import main; main()"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(_end, process)
    return process


def _order(tracker: Tracker, out: Path | None = None) -> str:
    return json.dumps({"out": out, "tracker": asdict(tracker)}, default=str)


def _tell(process: subprocess.Popen[bytes] | None, line: str) -> None:
    if process is None:
        return
    assert process.stdin is not None, "a pipe"
    with suppress(OSError):  # it is gone, which `finish` will see
        os.write(process.stdin.fileno(), f"{line}\n".encode())  # unbuffered: a signal may come in between


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it; that its input ends is not enough, for forked workers of a data loader may hold the other side of it."""
    process.kill()
    with suppress(OSError), process:  # closes the pipes, of which one may be broken, and waits
        pass


def main() -> None:
    """Be the process."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the training's business, which says how its run ended
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL)
    os.nice(NICE)
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever is printed here is no answer
    sender: Sender | None = None
    for line in map(str.strip, sys.stdin):
        if line.startswith("{"):
            order = json.loads(line)
            tracker = Tracker(**order["tracker"])
            if order["out"] is None:
                threading.Thread(target=_open, args=(tracker,), daemon=True).start()
            else:
                sender = Sender(Path(order["out"]), tracker)
                sender.start()
        elif sender is not None and line == FINISH:
            threading.Thread(target=_finish, args=(sender, answers), daemon=True).start()
        elif sender is not None and line == HURRY:
            sender.hurry()
    os._exit(0)  # the training is gone, and so is the use of this process; no request that hangs is waited for


def _open(tracker: Tracker) -> None:
    assert tracker.uri is not None, "a store"
    with suppress(Exception):  # the sender meets it again, and says so
        store.connect(tracker.uri, tracker.request_seconds)


def _finish(sender: Sender, answers: int) -> None:
    try:
        arrived, error = sender.finish(), sender.error
    except Exception as reason:  # the training waits for an answer
        arrived, error = False, store.reason(reason)
    os.write(answers, f"{json.dumps({'arrived': arrived, 'error': error})}\n".encode())
