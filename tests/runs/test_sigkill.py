"""The real thing: processes killed by SIGKILL at random moments, and MLflow's database afterwards."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

import forked

pytestmark = pytest.mark.slow

TRAIN = [
    sys.executable, "-m", "fiducial", "train", "hardware=cpu", "hardware.threads=1", "name=run", "study=kills",
    "tracking.system_metrics_seconds=0", "tracking.flush_seconds=0.2", "tracking.patience_seconds=60",
    "data.source.num_subjects=60", "data.source.size=[16,16]", "data.batch_size=4", "model.widths=[4]",
    "model.dropout=0.3", "augment=light", "scheduler=one_cycle", "objective=val/loss", "epochs=16",
]  # fmt: skip


def history(outputs: Path) -> list[tuple[str, int, float]]:
    """Return every metric point of the only run that MLflow has."""
    with closing(sqlite3.connect(outputs / "mlflow.db")) as database:
        assert database.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
        return database.execute("SELECT key, step, value FROM metrics ORDER BY key, step").fetchall()


def kill_after(
    seconds: float, command: list[str], written: Callable[[], bool], popen: type[subprocess.Popen[bytes]]
) -> bool:
    """Start a command; kill it some time after it has begun to train. Return whether it was still running."""
    process = popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not written():
        time.sleep(0.01)
    time.sleep(seconds)
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def test_killed_at_random_moments_equals_uninterrupted(tmp_path: Path) -> None:
    """The first of the killed processes is a fresh one, the others are forked."""
    forked.run([*TRAIN, f"outputs={tmp_path / 'whole'}"], check=True, stdout=subprocess.DEVNULL, timeout=300)
    moments, outputs = random.Random(0), tmp_path / "killed"
    command, kills = [*TRAIN, f"outputs={outputs}"], 0
    for popen in (subprocess.Popen, forked.Popen, forked.Popen):
        started = time.time()
        kills += kill_after(moments.uniform(0, 0.8), command, lambda since=started: fresh(outputs, since), popen)
        (out,) = outputs.glob("runs/run/*")
        command = [*TRAIN[:4], f"resume={out}"]
    assert kills >= 2, "hardly a kill hit a running process"
    forked.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
    (whole,) = tmp_path.glob("whole/runs/run/*")
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (load(folder / "checkpoints" / name) for folder in (whole, out))
        assert all(torch.equal(one[key], other[key]) for key in one | other)
    assert (whole / "scores.json").read_text() == (out / "scores.json").read_text()
    assert history(tmp_path / "whole") == history(outputs)


def fresh(outputs: Path, since: float) -> bool:
    """Tell whether a checkpoint was written since a moment."""
    files = outputs.glob("runs/run/*/checkpoints/last.ckpt")
    try:
        return any(file.stat().st_mtime > since for file in files)
    except FileNotFoundError:  # it is being replaced
        return False


def load(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, weights_only=True)["state_dict"]
    return state
