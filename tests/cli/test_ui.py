from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from fiducial.cli.ui import pages

TABLES = """
    create table experiments (experiment_id integer primary key, name text, lifecycle_stage text);
    create table runs (run_uuid text, experiment_id integer, start_time integer, lifecycle_stage text);
    create table params (key text, value text, run_uuid text);
    create table latest_metrics (key text, run_uuid text);
    create table experiment_tags (key text, value text, experiment_id integer, primary key (key, experiment_id));
    create table metrics (key text);
    create table alembic_version (version_num text);
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """As much of an MLflow database as the verb looks at; the second experiment has the newest run."""
    path = tmp_path / "outputs" / "mlflow.db"
    path.parent.mkdir()
    rows = [("a", 1, 10), ("b", 1, 20), ("c", 2, 30), ("d", 3, 5), ("e", 4, 50)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(TABLES)
        names = ["Default", "first", "second", "third", "gone"]
        stages = ["active"] * 4 + ["deleted"]
        experiments = list(zip(range(5), names, stages, strict=True))
        connection.executemany("insert into experiments values (?, ?, ?)", experiments)
        connection.executemany("insert into runs values (?, ?, ?, 'active')", rows)
    return path


def test_the_newest_experiment_comes_first_and_deleted_or_empty_ones_not_at_all(database: Path) -> None:
    lines = [line.split() for line in pages(database, 5001)]
    query = "runs?workflowType=machine_learning&viewStateShareKey=fiducial"
    assert [line[0] for line in lines[:3]] == [f"http://127.0.0.1:5001/#/experiments/{n}/{query}" for n in (2, 1, 3)]
    assert [line[1:] for line in lines[:3]] == [
        ["second:", "1", "run"],
        ["first:", "2", "runs"],
        ["third:", "1", "run"],
    ]
    assert lines[3][1:] == ["all", "3", "experiments"]


def test_a_folder_without_runs_is_refused(fiducial, tmp_path: Path) -> None:
    answer = fiducial("ui", "--outputs", str(tmp_path / "nowhere"))
    assert answer.code == 1
    assert "no tracked runs" in answer.message
    assert "fiducial train" in answer.message
    assert answer.heavy == ()


def test_a_port_in_use_is_refused_before_anything_is_loaded(fiducial, database: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = fiducial("ui", "--outputs", str(database.parent), "--port", str(port))
    assert answer.code == 1
    assert f"port {port} cannot be used" in answer.message
    assert "--port" in answer.message
    assert answer.heavy == ()


def ended(number: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{number}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_server_is_ended_without_a_word_also_while_it_starts(asked: signal.Signals) -> None:
    """The server stands for MLflow's, which answers Ctrl-C in its imports with a stack trace; it has a child, too."""
    child = "import time; time.sleep(60)"
    server = f"import os, subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', {child!r}]); "
    server += "print(os.getpid(), c.pid, flush=True); time.sleep(60)"
    usual = "default_int_handler" if asked == signal.SIGINT else "SIG_DFL"  # whatever the tests were started by
    program = f"import signal, sys; signal.signal({int(asked)}, signal.{usual}); "
    program += "from fiducial.cli import command, ui; "
    program += f"command.run = lambda *_: ui._serve([sys.executable, '-c', {server!r}]); command.main(['ui'])"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    servers = [int(word) for word in process.stdout.readline().split()]
    os.killpg(process.pid, asked)
    said, complaints = process.communicate(timeout=30)
    assert (said, complaints, process.returncode) == (b"", b"", 128 + asked)
    for number in servers:
        wait_until_ended(number)


def wait_until_ended(number: int) -> None:
    for _ in range(100):  # a child whose parent has gone is reaped a moment later
        if ended(number):
            return
        time.sleep(0.05)
    pytest.fail(f"process {number} is still there")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_a_server_ends_with_a_user_interface_that_is_killed() -> None:
    server = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    program = f"from fiducial.cli import ui; ui._serve([{sys.executable!r}, '-c', {server!r}])"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        assert not ended(number)
        process.kill()
    wait_until_ended(number)
