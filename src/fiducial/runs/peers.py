"""The other processes of a data-parallel run on this machine.

Lightning would start them with this command's own arguments, which for one job of a sweep is the whole sweep.
They are started here instead: each reads the run's folder and joins in.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fiducial.errors import InputError
from fiducial.hardware import Hardware

PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)
TAIL = 15  # lines of a dead process's log that are shown


@contextmanager
def peers(hardware: Hardware, out: Path) -> Iterator[None]:
    """Run processes 1, 2, … of a run while process 0, this one, is inside the block.

    Raises:
        InputError: one of them ended with an error; the end of its log is shown.
    """
    if not hardware.starts_processes:
        yield
        return
    environment = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(hardware.processes),
        "LOCAL_RANK": "0",
    }
    before = dict(os.environ)
    os.environ.update(environment)
    with ExitStack() as stack:
        stack.callback(_restore, before)
        started = [stack.enter_context(_peer(rank, environment, out)) for rank in range(1, hardware.processes)]
        try:
            yield
        except Exception as error:
            _blame(started, out, error)
            raise
        for process in started:
            process.wait()
        _blame(started, out, None)


@contextmanager
def _peer(rank: int, environment: dict[str, str], out: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "fiducial.runs.peers", str(out)]
    with _log(out, rank).open("ab") as log:
        variables = {**os.environ, **environment, "LOCAL_RANK": str(rank)}
        process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()  # without effect on one that has ended
        process.wait()


def _blame(started: list[subprocess.Popen[bytes]], out: Path, error: Exception | None) -> None:
    """Name the process that ended with an error, if there is one: ours is then only a consequence."""
    for rank, process in enumerate(started, start=1):
        try:
            code = process.wait(timeout=5 if error else None)
        except subprocess.TimeoutExpired:
            continue
        if code:
            end = "\n".join(_log(out, rank).read_text(errors="replace").splitlines()[-TAIL:])
            raise InputError(f"process {rank} of the run ended with code {code}; its log ends with\n{end}") from error


def _log(out: Path, rank: int) -> Path:
    return out / f"process-{rank}.log"


def _restore(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def join(out: Path) -> None:
    """Take part in the run in folder `out`, as the process that LOCAL_RANK says."""
    from fiducial.runs import folder
    from fiducial.runs.build import build_data, component
    from fiducial.runs.train import fit, test

    cfg = folder.config(out)
    hardware = component(cfg.hardware)
    hardware.prepare()
    data = build_data(cfg)
    task, trainer = fit(cfg, out, hardware, data, logger=None)
    test(cfg, out, task, trainer, data)


if __name__ == "__main__":
    if sys.platform == "linux":  # never outlive process 0
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    join(Path(sys.argv[1]))
