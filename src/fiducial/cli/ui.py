"""Look at runs in the browser: starts MLflow's UI over the tracking database, for this machine only."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from fiducial.errors import InputError

EXAMPLES = "examples:\n  fiducial ui\n  fiducial ui --outputs /data/outputs --port 5001"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--outputs", default="outputs", metavar="DIR", help="folder of runs (default: outputs)")
    parser.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1 (default: 5000)")


def run(args: argparse.Namespace) -> int:
    """Replace this process by MLflow's server."""
    from fiducial.tracking.store import artifact_root, check_database, prepare_mlflow
    from fiducial.tracking.tracker import DATABASE, embedded_uri

    outputs = Path(args.outputs).expanduser().resolve()
    database = outputs / DATABASE
    if not database.is_file():
        raise InputError(f"there are no tracked runs in {outputs} ({DATABASE} is missing); `fiducial train` makes one")
    check_database(database)
    _check_port(args.port)
    prepare_mlflow()
    print(f"MLflow's UI starts at http://127.0.0.1:{args.port} (about 15 s); Ctrl-C ends it", flush=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(args.port)]
    command += ["--workers", "1", "--backend-store-uri", embedded_uri(outputs)]
    command += ["--default-artifact-root", artifact_root(outputs).as_uri()]
    os.execv(sys.executable, command)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(f"port {port} cannot be used: {error.strerror}; choose another with --port") from error
