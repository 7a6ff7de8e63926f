"""Several processes on one database, and processes killed in the middle: no trial is lost, none counts twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import forked

pytestmark = pytest.mark.slow

SEARCHER = Path(__file__).with_name("searcher.py")
LINES = ("search=random", "objective=val/loss", "optimizer.lr=interval(0.1,1)", "search.study=study")


def start(outputs: Path, *lines: str, seconds: float = 0.05) -> subprocess.Popen[str]:
    command = [sys.executable, str(SEARCHER), str(seconds), f"outputs={outputs}", *LINES, *lines]
    return forked.Popen(command, stdout=subprocess.PIPE, text=True)


def wait(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for processes to end well; return what each printed."""
    printed = [process.communicate(timeout=240)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed


def trials(outputs: Path, storage: str | None = None) -> list[optuna.trial.FrozenTrial]:
    url = storage or f"sqlite:///{outputs / 'sweeps' / 'search.db'}"
    storage = optuna.storages.RDBStorage(url)
    try:
        return optuna.load_study(study_name="study", storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


def ran(outputs: Path) -> list[tuple[int, str]]:
    lines = [line.split() for line in (outputs / "ran.txt").read_text().splitlines()]
    return [(int(number), value) for number, value in lines]


def check_whole(found: list[optuna.trial.FrozenTrial], outputs: Path, total: int) -> None:
    """Check that a total of trials is complete, each with the value of its own settings."""
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * total
    assert all(trial.value == trial.params["optimizer.lr"] for trial in found)
    assert {number: float(value) for number, value in ran(outputs)} == {t.number: t.value for t in found}


def test_processes_on_a_fresh_database_share_the_work(tmp_path: Path) -> None:
    wait([start(tmp_path, "search.trials=20") for _ in range(3)])
    found = trials(tmp_path)
    check_whole(found, tmp_path, 20)
    assert len(ran(tmp_path)) == 20  # none was run twice
    assert len({trial.params["optimizer.lr"] for trial in found}) == 20
    assert len({trial.user_attrs["owner"] for trial in found}) > 1


def test_killed_in_the_middle_it_goes_on(tmp_path: Path) -> None:
    told = 0
    for stop_after in (3, 2, 4):
        with start(tmp_path, "search.trials=14", seconds=0.3) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            told += sum(1 for _, _line in zip(range(stop_after), process.stdout, strict=False))
            process.kill()
        assert process.returncode == -signal.SIGKILL
    assert told == 9
    (output,) = wait([start(tmp_path, "search.trials=14")])
    check_whole(trials(tmp_path), tmp_path, 14)
    assert told + len(output.split()) - 1 in range(14, 18)  # told of, or killed just before
    assert 14 <= len(ran(tmp_path)) <= 14 + 3


TRAIN = (
    *("hardware=cpu", "tracking=none", "data.source.num_subjects=40", "data.source.size=[16,16]", "name=run"),
    *("data.batch_size=4", "model.widths=[4]", "epochs=3", "launcher.at_once=2", "search.trials=5"),
)


def test_a_command_killed_in_the_middle_goes_on(tmp_path: Path) -> None:
    """The one that is killed is a fresh process; those after it are forked."""
    command = [sys.executable, "-m", "fiducial", "train", "-m", f"outputs={tmp_path}", *LINES, *TRAIN]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(" done " in line for line in process.stderr)
        process.kill()
    forked.run(command, check=True, stdout=subprocess.DEVNULL, timeout=240)
    found = trials(tmp_path)
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 5
    runs = {path.parent: json.loads(path.read_text()) for path in tmp_path.glob("runs/run/*/scores.json")}
    assert len(list(tmp_path.glob("runs/run/*"))) == len(runs) == 5
    assert {tmp_path / trial.user_attrs["folder"]: trial.value for trial in found} == {
        out: scores["objective"]["value"] for out, scores in runs.items()
    }
    (sweep,) = tmp_path.glob("sweeps/study")
    pictures = {path.stem for path in sweep.glob("figures/*.png")}
    assert pictures >= {"history", "importance", "parallel_coordinates"}
    again = forked.run(command, check=True, capture_output=True, text=True, timeout=240)
    assert again.stdout.startswith("every run is done; nothing to run")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Yield the URL of a PostgreSQL database on a socket of its own, without the password."""
    if not os.environ.get("CI"):
        pytest.importorskip("psycopg")
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "/none").parent]
    if not (bins[-1] / "initdb").exists():
        assert not os.environ.get("CI"), "PostgreSQL is missing"
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="search-") as temporary:  # short enough for a socket's path
        folder, user = Path(temporary), None
        data, password, log = folder / "data", folder / "password", folder / "log"
        password.write_text("of-the-test")
        if os.geteuid() == 0:  # as which PostgreSQL refuses to run
            user = "nobody"
            shutil.chown(folder, user)
            shutil.chown(password, user)

        def run(*command: object) -> None:
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder)

        identity = ["-U", "searcher", "--auth=scram-sha-256", "--pwfile", password, "--encoding=UTF8"]
        control = [bins[-1] / "pg_ctl", "-D", data, "-w", "-l", log]
        run(bins[-1] / "initdb", "-D", data, *identity)
        run(*control, "-o", f"-c listen_addresses= -k {folder} -c fsync=off", "start")
        try:
            yield f"postgresql://searcher@/postgres?host={folder}"
        finally:
            run(*control, "-m", "immediate", "stop")


def test_postgresql_with_the_password_from_the_environment(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "of-the-test")
    wait([start(tmp_path, "search.trials=8", f"search.storage='{postgres}'") for _ in range(2)])
    check_whole(trials(tmp_path, postgres.replace("://", "+psycopg://")), tmp_path, 8)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"of-the-test" in path.read_bytes() for path in files)
    assert not list(tmp_path.rglob("search.db"))
