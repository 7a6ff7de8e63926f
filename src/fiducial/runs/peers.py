"""The other processes of a data-parallel run on this machine.

Lightning would start them with this command's own arguments, which for one job of a sweep is the whole sweep.
They are started here instead: each reads the run's folder and joins in.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.tracking.liveness import end_with_parent

READY = b"ready\n"
TAIL = 15  # lines of a dead process's log that are shown
PATIENCE_SECONDS = 60  # for a process to end after the run's last step


@dataclass(frozen=True)
class Peer:
    """Another process of the run.

    Attributes:
        rank: its number.
        process: that it is.
        words: pipe on which it says that it is ready, or what went wrong; ends when the process does.
        log: file with everything that it printed.
    """

    rank: int
    process: subprocess.Popen[bytes]
    words: BinaryIO
    log: Path

    def wait_until_ready(self) -> None:
        """Wait until it has read its data: processes that wait for each other do not notice a dead one.

        Raises:
            InputError: it ended instead.
        """
        first = self.words.readline()
        if first != READY:
            self.refuse_failure(first)

    def refuse_failure(self, said: bytes = b"", *, timeout: float = PATIENCE_SECONDS) -> None:
        """Wait for its end, for a while.

        Raises:
            InputError: it ended with an error; with what it said, or else the end of its log.
        """
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return
        if code:
            message = (said + self.words.read()).decode().strip()
            raise InputError(message or f"process {self.rank} of the run ended with code {code}{self._end_of_log()}")

    def _end_of_log(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL:]
        return "\n".join([f"; {self.log} ends with", *lines]) if lines else ""


@contextmanager
def peers(hardware: Hardware, out: Path) -> Iterator[None]:
    """Run processes 1, 2, … of a run while process 0, this one, is inside the block.

    Where a launcher has started them all, only the end is waited for.

    Raises:
        InputError: one of them ended with an error.
    """
    if not hardware.starts_processes:
        yield
        _leave_group()
        return
    environment = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(hardware.processes),
        "LOCAL_RANK": "0",
    }
    with ExitStack() as stack:
        stack.enter_context(_environment(environment))
        started = [stack.enter_context(_started(rank, out)) for rank in range(1, hardware.processes)]
        for peer in started:
            peer.wait_until_ready()
        try:
            yield
        except Exception as error:
            _blame(started, error)
            raise
        for peer in started:
            peer.refuse_failure()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set the variables by which processes find each other; afterwards they are strangers again."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        _leave_group()


def _leave_group() -> None:
    """End the threads by which processes talk: one still running when Python ends can take the process down."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _started(rank: int, out: Path) -> Iterator[Peer]:
    reading, writing = os.pipe()
    log = out / f"process-{rank}.log"
    command = [sys.executable, "-P", "-m", "fiducial.runs.peers", str(out), str(writing)]
    variables = {**os.environ, "LOCAL_RANK": str(rank)}
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, env=variables, stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=[writing]
        )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as words:
            yield Peer(rank, process, words, log)
    finally:
        process.kill()  # without effect on one that has ended
        process.wait()
        if process.returncode == 0 or log.stat().st_size == 0:
            log.unlink()


def _blame(started: list[Peer], error: Exception) -> None:
    """Name the process that ended with an error, if there is one: ours is then only a consequence."""
    if isinstance(error, InputError):
        return
    for peer in started:
        try:
            peer.refuse_failure(timeout=5)
        except InputError as failure:
            raise failure from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def join(out: Path, words: int | None = None) -> None:
    """Take part in the run in folder `out`, as the process that the environment says.

    Args:
        out: the run's folder.
        words: pipe to process 0, where that has started this one.
    """
    from fiducial.config.construction import component
    from fiducial.runs import folder
    from fiducial.runs.build import build_data
    from fiducial.runs.quiet import quiet
    from fiducial.runs.train import fit, test
    from fiducial.tracking import NullRun

    quiet()
    cfg = folder.config(out)
    hardware = component(cfg.hardware)
    hardware.prepare()
    data = build_data(cfg)
    if words is not None:
        os.write(words, READY)
    task, trainer = fit(cfg, out, hardware, data, NullRun(out))
    test(cfg, out, task, trainer, data)
    _leave_group()


def _main(out: Path, words: int) -> None:
    sys.path.append(os.getcwd())  # last, as the command does: none of the user's files hides a module
    for number in (signal.SIGINT, signal.SIGTERM):  # process 0 decides when the run ends
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL)  # never outlive process 0
    try:
        join(out, words)
    except InputError as error:
        os.write(words, str(error).encode())
        sys.exit(1)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
