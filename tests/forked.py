"""Commands in processes forked from one that has imported everything: a fresh Python needs six seconds for that.

`Popen` and `run` stand for those of `subprocess` where a command is `python -m …`, `python -c …` or `python FILE …`.
Such a process has the arguments, folder, environment, streams, handlers of signals and end of a fresh one; what it
forks its own jobs from, it forks as well. Tests of a start itself, of what is imported, and of processes that end with
the one that started them use `subprocess`.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from multiprocessing import connection, forkserver, resource_tracker
from types import ModuleType
from typing import Any

IMPORTED = (
    "fiducial.sweeps.warm",
    "fiducial.cli.train",
    "fiducial.config.composition",
    "fiducial.runs.peers",
    "fiducial.sweeps.plan",
    "fiducial.sweeps.sweep",
    "fiducial.sweeps.search.sweeper",
    "optuna.storages",
)
FREE = 512  # file descriptors from here on are nobody's


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """`subprocess.Popen`, of a process that is forked."""

    def _execute_child(  # type: ignore[no-untyped-def]
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, restore_signals, gid, gids, uid, umask,
        start_new_session, process_group,
    ) -> None:  # fmt: skip
        command = [os.fspath(word) for word in args]
        assert command[0] == sys.executable
        assert not any((shell, preexec_fn, executable, uid, gid))
        request = {
            "command": command[1:],
            "cwd": os.fspath(cwd or os.getcwd()),
            "environment": dict(os.environ if env is None else env),
            "descriptors": [0, 1, 2, *pass_fds],
            "session": start_new_session,
        }
        given = [stream if stream != -1 else number for number, stream in enumerate((p2cread, c2pwrite, errwrite))]
        self._news = _asked(request, [*given, *pass_fds])
        self.pid = int(self._news.readline())
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        self._look(0)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        self._look(timeout)
        if self.returncode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def _look(self, timeout: float | None) -> None:
        if self.returncode is None and select.select([self._news], [], [], timeout)[0]:
            self.returncode = int(self._news.readline())
            self._news.close()


def run(
    command: Sequence[Any],
    *,
    check: bool = False,
    timeout: float | None = None,
    capture_output: bool = False,
    **given: Any,
) -> subprocess.CompletedProcess[Any]:
    """Do what `subprocess.run` does."""
    if capture_output:
        given |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(command, **given) as process:
        try:
            output, said = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, output, said)
    if check:
        done.check_returncode()
    return done


@cache
def server() -> socket.socket:
    """Start the process that all are forked from, once; return the socket on which it is asked."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    theirs.close()

    def stop() -> None:
        ours.close()
        process.wait()

    atexit.register(stop)
    return ours


def _asked(request: dict[str, Any], descriptors: Sequence[int]) -> Any:
    """Have a process forked; return the file in which its number stands and, at its end, its exit status."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(server(), [b"1"], [theirs.fileno(), *descriptors])
        ours.sendall(json.dumps(request).encode() + b"\n")
        return ours.makefile("rb", buffering=0)


def _serve(control: socket.socket) -> dict[str, Any]:
    """Fork whenever asked, and tell how each process ended; returns in the forked ones."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # as told on this pipe
    children, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    news: dict[int, Any] = {}
    while True:
        for ready in select.select([control, children], [], [])[0]:
            if ready == children:
                os.read(children, 4096)
                for number, status in iter(_ended, None):
                    _tell(news.pop(number), os.waitstatus_to_exitcode(status))
                continue
            message, received, *_ = socket.recv_fds(control, 1, 64)
            if not message:  # the tests are over
                os._exit(0)
            with socket.socket(fileno=received[0]) as status:
                file = status.makefile("rwb", buffering=0)
            request = json.loads(file.readline())
            process = os.fork()
            if process == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                aside = [fcntl.fcntl(one, fcntl.F_DUPFD, FREE) for one in received[1:]]
                for mine in (control, file, *news.values()):  # at numbers, perhaps, that the command expects
                    mine.close()
                for number in (*received[1:], children, woken):
                    os.close(number)
                for number, one in zip(request["descriptors"], aside, strict=True):
                    os.dup2(one, number)
                    os.close(one)
                return request
            for descriptor in received[1:]:
                os.close(descriptor)
            news[process] = file
            file.write(f"{process}\n".encode())


def _ended() -> tuple[int, int] | None:
    try:
        number, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (number, status) if number else None


def _tell(file: Any, code: int) -> None:
    try:
        file.write(f"{code}\n".encode())
        file.close()
    except BrokenPipeError:  # nobody waits for it
        pass


def _become(request: dict[str, Any]) -> None:
    """Be the process of a command."""
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
    forkserver.ForkServer.ensure_running = _fork_server  # type: ignore[method-assign]
    forkserver.ensure_running = forkserver._forkserver.ensure_running  # type: ignore[attr-defined]
    for number, name in ((1, "stdout"), (2, "stderr")):  # those of the server were opened on something else
        setattr(
            sys,
            name,
            os.fdopen(number, "w", buffering=1, errors="backslashreplace" if number == 2 else None, closefd=False),
        )
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [place for place in places if place and place not in sys.path]
    how, *rest = request["command"]
    safe = how == "-P"
    if safe:
        how, *rest = rest
    if how == "-m":
        if safe:
            del sys.path[0]
        else:
            sys.path[0] = os.getcwd()
        sys.modules.pop(rest[0], None)  # it is run, not imported
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *rest[1:]]
        module = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), module.__dict__)
    else:
        sys.path[0] = os.path.dirname(how)
        sys.argv = [how, *rest]
        runpy.run_path(how, run_name="__main__")


def _fork_server(self: Any) -> None:
    """Stand in for `ForkServer.ensure_running`: what jobs are forked from is forked too."""
    if self._forkserver_pid is not None:
        return
    resource_tracker.ensure_running()
    with socket.socket(socket.AF_UNIX) as listener:
        address = connection.arbitrary_address("AF_UNIX")
        listener.bind(address)
        listener.listen()
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(writing)
            self._lock = threading.Lock()
            from fiducial.sweeps import warm

            warm.warm_up()
            forkserver.main(listener.detach(), reading, [])
            os._exit(0)
        os.close(reading)
    self._forkserver_address, self._forkserver_alive_fd, self._forkserver_pid = address, writing, process


if __name__ == "__main__":
    for name in IMPORTED:
        __import__(name)
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
