"""Finished runs, one of them a sweep, served by `fiducial ui` and opened in a headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from fiducial.tracking import Run, Tracker, track

EXPERIMENT = "lesions"
RATES = (0.1, 0.01, 0.001)
NUM_STEPS = 8
PICTURE = (48, 32)


@dataclass(frozen=True)
class Site:
    """A running UI.

    Attributes:
        address: of the server.
        pages: addresses that `fiducial ui` printed, newest experiment first.
        runs: id in MLflow of each run, by its name.
    """

    address: str
    pages: tuple[str, ...]
    runs: dict[str, str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return an outputs folder, and the runs in it: an older one elsewhere, and a sweep over learning rates."""
    outputs = tmp_path_factory.mktemp("browser") / "outputs"
    tracker = Tracker(outputs=outputs, flush_seconds=0.05, system_metrics_seconds=0)
    ids = {}

    def finish(name: str, experiment: str, **settings: str) -> None:
        with track(outputs / name, tracker, name=name, experiment=experiment) as run:
            _log(run, settings)
        ids[name] = json.loads((outputs / name / "tracking" / "delivered.json").read_text())["run_id"]

    finish("older", "earlier-study", lr="1.0")
    finish("sweep", EXPERIMENT)
    for rate in RATES:
        finish(f"lr={rate}", EXPERIMENT, lr=str(rate), parent=ids["sweep"])
    return outputs, ids


def _log(run: Run, settings: dict[str, str]) -> None:
    if "parent" in settings:
        run.set_tags({"mlflow.parentRunId": settings["parent"]})
    if "lr" in settings:
        run.log_params({"optimizer.lr": settings["lr"], "model": "lenet", "objective": "val/auroc"})
        for step in range(NUM_STEPS):
            run.log_metrics({"val/auroc": 1 - 0.5 / (1 + step * float(settings["lr"]))}, step)
    picture = run.out / "roc.png"
    Image.new("RGB", PICTURE, (200, 30, 30)).save(picture)
    run.log_file(picture, "figures")


@pytest.fixture(scope="module")
def site(runs: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the runs as a user does, and wait until the server is healthy."""
    outputs, ids = runs
    port = free_port()
    printed = tmp_path_factory.mktemp("ui") / "printed.txt"
    command = [sys.executable, "-m", "fiducial", "ui", "--outputs", str(outputs), "--port", str(port)]
    with printed.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, printed)
        words = printed.read_text().split()
        pages = tuple(word for word in words if word.startswith(f"http://127.0.0.1:{port}/#"))
        yield Site(f"http://127.0.0.1:{port}", pages, ids)
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
