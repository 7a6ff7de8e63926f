"""Look at runs in the browser: starts MLflow's UI over the tracking database, for this machine only."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from fiducial.errors import InputError
from fiducial.redaction import redact_text

EXAMPLES = "examples:\n  fiducial ui\n  fiducial ui --outputs /data/outputs --port 5001"

PATIENCE_SECONDS = 10.0  # for the server to end by itself
_NUM_PAGES = 5
_TRAINING = "workflowType=machine_learning"
_EXPERIMENTS = """
    select experiments.experiment_id, experiments.name, count(*)
    from experiments join runs on runs.experiment_id = experiments.experiment_id
    where experiments.lifecycle_stage = 'active' and runs.lifecycle_stage = 'active'
    group by experiments.experiment_id
    order by max(runs.start_time) desc
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--outputs", default="outputs", metavar="DIR", help="folder of runs (default: outputs)")
    parser.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1 (default: 5000)")


def run(args: argparse.Namespace) -> int:
    """Run MLflow's server until Ctrl-C."""
    from fiducial.tracking.store import artifact_root, check_database, follow, prepare_mlflow
    from fiducial.tracking.tracker import DATABASE, embedded_uri

    outputs = Path(args.outputs).expanduser().resolve()
    database = outputs / DATABASE
    if not database.is_file():
        server = os.environ.get("MLFLOW_TRACKING_URI")
        where = f"; runs of tracking=server are shown by {redact_text(server)}" if server else ""
        raise InputError(
            f"there are no tracked runs in {outputs} ({DATABASE} is missing); `fiducial train` makes one{where}"
        )
    check_database(database)
    with suppress(sqlite3.OperationalError):  # one that may only be read
        follow(database)
    _check_port(args.port)
    prepare_mlflow()
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # ten processes for language models' judges
    print("MLflow's UI starts (10 to 30 s); Ctrl-C ends it", *pages(database, args.port), sep="\n", flush=True)
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(args.port)]
    command += ["--workers", "1", "--backend-store-uri", embedded_uri(outputs)]
    command += ["--default-artifact-root", artifact_root(outputs).as_uri()]
    return _serve(command)


def _serve(command: list[str]) -> int:
    """Run a server, and end it with this process, even one that is killed.

    It is in a group of its own, which Ctrl-C does not reach: interrupted in its imports it would print a stack trace.
    """
    from fiducial.tracking.liveness import end_with_parent

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    server = subprocess.Popen(
        command, process_group=0, stdin=subprocess.DEVNULL, preexec_fn=partial(end_with_parent, signal.SIGTERM)
    )
    try:
        return server.wait()
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # all of the group have ended
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(PATIENCE_SECONDS)
            return


def pages(database: Path, port: int) -> list[str]:
    """Return a line for each of the latest experiments, newest first: where its table of runs is, its name.

    The address asks for the pages about training, since MLflow opens those about language models otherwise, and
    for columns with the settings that differ and the scores.
    """
    from fiducial.tracking.table_view import KEY, save_view

    with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=20)) as connection:
        found = connection.execute(_EXPERIMENTS).fetchall()
    address = f"http://127.0.0.1:{port}/#/experiments"
    lines = []
    for number, name, count in found[:_NUM_PAGES]:
        with suppress(sqlite3.OperationalError):  # a database that may only be read: the columns are not set up
            save_view(database, number)
        page = f"{address}/{number}/runs?{_TRAINING}&viewStateShareKey={KEY}"
        lines.append(f"  {page}   {name}: {count} run{'s' if count > 1 else ''}")
    if len(found) > 1:
        lines.append(f"  {address}?{_TRAINING}   all {len(found)} experiments")
    return lines


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(f"port {port} cannot be used: {error.strerror}; choose another with --port") from error
