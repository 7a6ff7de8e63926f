"""A real server: PostgreSQL and `mlflow server` with accounts, set up by the commands of docs/servers.md."""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from mlflow import MlflowClient

import forked
from fiducial.tracking import Tracker, reconcile, track

pytestmark = [pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs" / "servers.md"
PASSWORDS = {"CHANGE-ME-TOO": "admin-kElvin-31", "CHANGE-ME": "role-oHm-8451", "ANNAS-PASSWORD": "anna-tEsla-7290"}
CHILD = """
import sys
from pathlib import Path
from fiducial.tracking import Tracker, track

outputs, name = Path(sys.argv[1]), sys.argv[2]
tracker = Tracker(outputs=outputs, uri="env", flush_seconds=0.05, system_metrics_seconds=0, patience_seconds=60)
with track(outputs / name, tracker, name=name, experiment="at-once") as run:
    run.log_params({"name": name})
    for step in range(300):
        run.log_metrics({"loss": step + 0.5}, step)
    run.log_text(name, "name.txt", "notes")
"""


def programs():
    """Return the folder of PostgreSQL's programs, the newest; Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        assert not os.environ.get("CI"), "PostgreSQL is missing"
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    return Path(initdb).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def block(heading, kind, number=0):
    """Return a code block below a heading of the page."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{kind}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[number]


class Postgres:
    """A database cluster on 127.0.0.1, which refuses to run as root."""

    def __init__(self, folder):
        self.port = free_port()
        self._folder, self._programs = folder, programs()
        self._user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        passwords = folder / "password"
        passwords.write_text("superuser")
        passwords.chmod(0o644)
        self._run("initdb", "-D", folder / "data", "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={passwords}",
                  "--no-sync")  # fmt: skip

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder} -c fsync=off"
        self._run("pg_ctl", "-D", self._folder / "data", "-l", self._folder / "log", "-w", "-o", options, "start")

    def stop(self):
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "stop")

    def query(self, database, sql):
        done = self.bash(f'psql -tAc "{sql}" --dbname=postgresql://postgres@127.0.0.1:{self.port}/{database}')
        return done.stdout.strip()

    def bash(self, text, **options):
        """Run a command of the page."""
        text = text.replace("sudo -u postgres psql", "psql -v ON_ERROR_STOP=1")
        places = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres", "PGPASSWORD": "superuser"}
        environment = os.environ | places | {"PATH": f"{self._programs}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-euc", text], env=environment, capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stderr
        return done

    def _run(self, program, *arguments):
        command = [str(self._programs / program), *map(str, arguments)]
        prefix = ["runuser", "-u", self._user, "--"] if os.getuid() == 0 else []
        with (self._folder / "commands").open("ab") as output:
            done = subprocess.run([*prefix, *command], cwd="/", stdout=output, stderr=output, check=False)
        assert done.returncode == 0, (self._folder / "commands").read_text()


class Server:
    """`mlflow server`, as the page starts it, on a port that stays the same."""

    def __init__(self, folder, database):
        self.folder, self.database = folder, database
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process = None
        (folder / "auth.ini").write_text(self.filled(block("The server", "ini")))

    def filled(self, text):
        """Return a block of the page with this server's passwords, ports and folders."""
        places = {"/srv/mlflow": str(self.folder), "5432": str(self.database.port), "5000": str(self.port)}
        for written, meant in (PASSWORDS | places).items():
            text = text.replace(written, meant)
        return text

    def start(self):
        (self.folder / "server.env").write_text(self.filled(block("The server", "bash", 0)))
        command = self.filled(block("The server", "bash", 1)).replace("mlflow ", f"{sys.executable} -m mlflow ")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["bash", "-euc", command], cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 300
        while True:
            try:
                with urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (URLError, ConnectionError, TimeoutError):
                failed = self._process.poll() is not None or time.monotonic() > deadline
                assert not failed, (self.folder / "log").read_text()
                time.sleep(0.2)

    def stop(self):
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def database():
    programs()
    place = Path(tempfile.mkdtemp(prefix="fiducial-postgres-"))  # in /tmp itself: pytest's folders are root's alone
    try:
        database = Postgres(place)
        database.start()
        yield database
        database.stop()
    finally:
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"), database)
    database.bash(server.filled(block("The database", "bash")))
    try:
        server.start()
        add_user(server)
        yield server
    finally:
        server.stop()


def add_user(server):
    code = server.filled(block("People and passwords", "python"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def anna(server, monkeypatch):
    """Set what a training machine's environment has; return a client with which to look at the server."""
    lines = server.filled(block("Training machines", "bash")).splitlines()
    for key, value in (line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export ")):
        monkeypatch.setenv(key, value)
    for key in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):  # set by each tracker
        monkeypatch.setenv(key, "")
        monkeypatch.delenv(key)
    return MlflowClient(server.uri)


@pytest.fixture
def tracker(tmp_path, anna):
    return Tracker(outputs=tmp_path / "outputs", uri="env", flush_seconds=0.05, system_metrics_seconds=0,
                   patience_seconds=1)  # fmt: skip


def runs_of(client, experiment):
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def steps(client, run, key="loss"):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]


def downloaded(client, run, path, folder):
    folder.mkdir(exist_ok=True)
    return Path(client.download_artifacts(run.info.run_id, path, str(folder))).read_bytes()


def assert_no_password(*places):
    """Look for every password in every file, compressed or not."""
    files = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file()]
    assert files
    for file in files:
        content = file.read_bytes()
        assert not [word for word in PASSWORDS.values() if word.encode() in content], file


def test_a_stranger_is_refused(server, anna, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "guess")
    with pytest.raises(Exception, match="authenticated"):
        anna.get_experiment_by_name("Default")


SMALL = [
    "hardware=cpu", "hardware.threads=1", "objective=val/loss", "outputs=outputs",
    "data.source.num_subjects=40", "data.source.images_per_subject=1", "data.source.size=[16,16]",
    "model.widths=[4]", "model.dense=[8]", "data.batch_size=10",
]  # fmt: skip


def test_the_command(server, anna, tmp_path):
    command = block("Training machines", "bash").splitlines()[-1].split()[1:]
    done = forked.run(
        [sys.executable, "-m", "fiducial", *command, *SMALL, "epochs=2", "study=remote"],
        cwd=tmp_path, env=os.environ | {"MLFLOW_TRACKING_URI": server.uri.replace("//", "//anna:anna-tEsla-7290@")},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = runs_of(anna, "remote")
    assert run.info.status == "FINISHED"
    (out,) = (tmp_path / "outputs" / "runs").glob("*/*")
    scores = json.loads((out / "scores.json").read_text())
    assert run.data.metrics["test/auroc"] == pytest.approx(scores["scores"]["auroc"]["value"])
    assert len(steps(anna, run, "val/loss")) == 2
    assert downloaded(anna, run, "figures/confusion_matrix.png", tmp_path / "down").startswith(b"\x89PNG")
    (tmp_path / "printed").write_text(done.stdout + done.stderr)
    assert_no_password(tmp_path)
    assert_no_password(server.folder / "artifacts", server.folder / "log")


def test_four_runs_at_once_lose_nothing(server, anna, tmp_path):
    names = ["a", "b", "c", "d"]
    children = [forked.Popen([sys.executable, "-c", CHILD, str(tmp_path), name]) for name in names]
    assert [child.wait(timeout=300) for child in children] == [0, 0, 0, 0]
    runs = runs_of(anna, "at-once")
    assert sorted(run.data.params["name"] for run in runs) == names
    for run in runs:
        assert run.info.status == "FINISHED"
        assert steps(anna, run) == [(step, step + 0.5) for step in range(300)]
        assert downloaded(anna, run, "notes/name.txt", tmp_path / run.info.run_name) == run.info.run_name.encode()
    query = "select count(*) from metrics m join runs r on m.run_uuid=r.run_uuid where r.name in ('a','b','c','d')"
    assert server.database.query("mlflow", query) == "1200"


def test_stopped_and_started_again(server, anna, tracker, tmp_path):
    with track(tracker.outputs / "a", tracker, name="a", experiment="outage") as run:
        run.start_delivery()
        run.log_metrics({"loss": 0.5}, 0)
        wait_for(lambda: anna.get_experiment_by_name("outage") and runs_of(anna, "outage"))
        server.stop()
        begin = time.thread_time()
        for step in range(1, 500):
            run.log_metrics({"loss": step + 0.5}, step)
        assert time.thread_time() - begin < 0.5
        run.log_text("kept", "kept.txt")
    with track(tracker.outputs / "b", tracker, name="b", experiment="outage") as run:
        run.log_metrics({"loss": 0.5}, 0)
    assert [one.delivered for one in reconcile(tracker.outputs, tracker)] == [False, False]
    server.start()
    assert [one.delivered for one in reconcile(tracker.outputs, tracker)] == [True, True]
    runs = {run.info.run_name: run for run in runs_of(anna, "outage")}
    assert sorted(runs) == ["a", "b"]
    assert [run.info.status for run in runs.values()] == ["FINISHED", "FINISHED"]
    assert steps(anna, runs["a"]) == [(step, step + 0.5) for step in range(500)]
    assert downloaded(anna, runs["a"], "kept.txt", tmp_path / "down") == b"kept"
    assert reconcile(tracker.outputs, tracker) == []
    assert_no_password(tracker.outputs)


def test_stopped_in_the_middle_of_a_sweep(server, anna, tracker, tmp_path):
    command = block("Training machines", "bash").splitlines()[-1].split()[1:]
    settings = [*SMALL, "epochs=60", "seed=0,1", "study=broken-off", "tracking.patience_seconds=1"]
    with (tmp_path / "printed").open("wb") as log:
        sweep = forked.Popen(
            [sys.executable, "-m", "fiducial", *command, "-m", *settings], cwd=tmp_path, stdout=log, stderr=log
        )

    def under_way():
        assert sweep.poll() is None
        known = anna.get_experiment_by_name("broken-off")
        return known and sum("val/loss" in run.data.metrics for run in runs_of(anna, "broken-off")) == 2

    wait_for(under_way, 90)
    server.stop()
    try:
        assert sweep.poll() is None, "the server was stopped too late"
        assert sweep.wait(timeout=300) == 0, (tmp_path / "printed").read_text()
    finally:
        server.start()
    assert all(one.delivered for one in reconcile(tracker.outputs, tracker))
    runs = {run.info.run_name: run for run in runs_of(anna, "broken-off")}
    assert {name: run.info.status for name, run in runs.items()} == dict.fromkeys(
        ["2 seeds", "seed=0", "seed=1"], "FINISHED"
    )
    for name in ("seed=0", "seed=1"):
        assert [step for step, _ in steps(anna, runs[name], "val/loss")] == list(range(60))
        assert runs[name].data.tags["mlflow.parentRunId"] == runs["2 seeds"].info.run_id


def wait_for(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_backup_and_restore(server, anna, tracker, tmp_path):
    patient = replace(tracker, patience_seconds=90)
    with track(tracker.outputs / "a", patient, name="saved", experiment="backup") as run:
        run.log_metrics({"loss": 0.25}, 7)
    database = server.database
    database.bash(server.filled(block("Backup", "bash", 0)), cwd=tmp_path)
    database.query("postgres", "create database restored owner mlflow")
    restore = server.filled(block("Backup", "bash", 1)).replace("/mlflow mlflow.dump", "/restored mlflow.dump")
    database.bash(restore, cwd=tmp_path)
    query = "select m.value, m.step from metrics m join runs r on m.run_uuid=r.run_uuid where r.name='saved'"
    assert database.query("restored", query) == database.query("mlflow", query) == "0.25|7"
