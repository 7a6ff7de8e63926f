"""The process that delivers a run while it trains, so that MLflow takes nothing from the Python of the training.

It is told what to do by lines on its standard input, of which the first describes the run. It answers once, by a line
on its standard output, when all is delivered or patience is at an end. It ends with the process that started it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from fiducial.tracking.liveness import end_with_parent
from fiducial.tracking.sender import Sender
from fiducial.tracking.tracker import Tracker

FINISH, HURRY = "finish", "hurry"
NICE = 5  # training comes first


class Messenger:
    """A `Sender` in a process of its own.

    Args:
        out: the run's folder.
        tracker: where it is delivered to, how often, and how patiently at the end.
    """

    def __init__(self, out: Path, tracker: Tracker) -> None:
        self.error: str | None = None
        self._order = json.dumps({"out": str(out), "tracker": asdict(tracker)}, default=str)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; what it may know of credentials goes through a pipe, where no other user sees it."""
        command = [sys.executable, "-P", "-c", "from fiducial.tracking.messenger import main; main()"]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:  # no memory, no more processes: training goes on
            self.error = f"the process that delivers it did not start: {error}"
        self._tell(self._order)

    def hurry(self) -> None:
        """Do not wait any longer: the user asks a second time."""
        self._tell(HURRY)

    def finish(self) -> bool:
        """Deliver the rest and end the process; return whether everything has arrived."""
        if self._process is None:
            return False
        assert self._process.stdout is not None, "a pipe"
        self._tell(FINISH)
        answer = self._process.stdout.readline()
        with suppress(OSError), self._process:  # closes the pipes, of which one may be broken, and waits
            pass
        if not answer:
            self.error = f"the process that delivers it ended with {self._process.returncode}"
            return False
        said = json.loads(answer)
        self.error = said["error"]
        return bool(said["arrived"])

    def _tell(self, line: str) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None, "a pipe"
        with suppress(OSError):  # it is gone, which `finish` will see
            os.write(self._process.stdin.fileno(), f"{line}\n".encode())  # unbuffered: a signal may come in between


def main() -> None:
    """Be the process."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the training's business, which says how its run ended
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL)
    os.nice(NICE)
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever is printed here is no answer
    order = json.loads(sys.stdin.readline() or "{}")
    if not order:
        return
    sender = Sender(Path(order["out"]), Tracker(**order["tracker"]))
    sender.start()
    finishing = threading.Event()
    threading.Thread(target=_listen, args=(sender, finishing), daemon=True).start()
    finishing.wait()
    arrived = sender.finish()
    os.write(answers, f"{json.dumps({'arrived': arrived, 'error': sender.error})}\n".encode())
    os._exit(0)  # a request that hangs is not waited for, and a million objects need not be taken apart


def _listen(sender: Sender, finishing: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == FINISH:
            finishing.set()
        elif line.strip() == HURRY:
            sender.hurry()
    os._exit(0)  # the training is gone, and so is the use of this process
