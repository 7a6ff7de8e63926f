"""A finished run and a sweep, served by `fiducial ui` and opened in a headless Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

import forked
from fiducial.tracking import Tracker, track
from fiducial.tracking.journal import History
from fiducial.tracking.tracker import DATABASE

SWEEP = (
    "optimizer.lr=0.1,0.01,0.001", "epochs=3", "study=lesions", "name=run", "data.source.num_subjects=40",
    "data.source.size=[16,16]", "data.batch_size=8", "model.widths=[4]", "hardware=cpu", "hardware.threads=1",
    "tracking.system_metrics_seconds=0", "tracking.flush_seconds=0.3",
)  # fmt: skip


@dataclass(frozen=True)
class Site:
    """A running UI.

    Attributes:
        address: of the server.
        pages: addresses that `fiducial ui` printed, newest experiment first.
        runs: id in MLflow of each run, by its name.
        folders: of the runs of the sweep, and of the sweep itself, by the same names.
    """

    address: str
    pages: tuple[str, ...]
    runs: dict[str, str]
    folders: dict[str, Path]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Return an outputs folder with an older run in an experiment of its own, and a sweep over learning rates."""
    outputs = tmp_path_factory.mktemp("browser") / "outputs"
    outputs.mkdir()
    shutil.copy(empty_database, outputs / DATABASE)
    tracker = Tracker(outputs=outputs, system_metrics_seconds=0)
    with track(outputs / "older", tracker, name="older", experiment="earlier-study") as run:
        run.log_params({"optimizer.lr": 1.0})
    command = [sys.executable, "-m", "fiducial", "train", "-m", *SWEEP]
    done = forked.run(command, cwd=outputs.parent, capture_output=True, text=True, timeout=300, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    return outputs


def ids(outputs: Path) -> dict[str, str]:
    """Return the id in MLflow of each run, by its name."""
    with closing(sqlite3.connect(outputs / DATABASE)) as database:
        return dict(database.execute("SELECT name, run_uuid FROM runs"))


def folders(outputs: Path) -> dict[str, Path]:
    """Return the folder of each run of the sweep, and of the sweep, by the names that they have in MLflow."""
    found = [*outputs.glob("runs/*/*"), *outputs.glob("sweeps/*")]
    return {History.of(out / "tracking" / "journal.jsonl").name: out for out in found}


@pytest.fixture(scope="module")
def site(outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the runs as a user does, and wait until the server is healthy."""
    port = free_port()
    printed = tmp_path_factory.mktemp("ui") / "printed.txt"
    command = [sys.executable, "-m", "fiducial", "ui", "--outputs", str(outputs), "--port", str(port)]
    with printed.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, printed)
        words = printed.read_text().split()
        pages = tuple(word for word in words if word.startswith(f"http://127.0.0.1:{port}/#"))
        yield Site(f"http://127.0.0.1:{port}", pages, ids(outputs), folders(outputs))
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(address: str, server: subprocess.Popen[bytes], printed: Path, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise AssertionError(f"the server did not start:\n{printed.read_text()}")


@pytest.fixture(scope="module")
def chromium() -> tuple[str, str]:
    """Return the browser and its driver; on CI it is an error if they are missing."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if found[0] is None or found[1] is None:
        message = "needs Debian's packages chromium and chromium-driver"
        assert not os.environ.get("CI"), message
        pytest.skip(message)
    return found[0], found[1]


@pytest.fixture(scope="module")
def browser(chromium: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A window of its own, so wide that no column of a table is out of sight, where it would not be drawn."""
    options = ChromeOptions()
    options.binary_location = chromium[0]
    for flag in (
        "--headless=new",
        "--no-sandbox",  # Chromium refuses to run as root with it
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--window-size=2600,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    driver = Chrome(options=options, service=ChromeService(chromium[1]))
    yield driver
    driver.quit()
