"""The pool with jobs of one's own: what they are given, how they are ended, and that they end with their sweep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fiducial.sweeps.job import Ending, Progress, Spec
from fiducial.sweeps.pool import Limits, Pool

JOBS = """
import json, os, signal, time
from pathlib import Path
from fiducial.sweeps.job import Ending

def environment(spec, report):
    Path(spec.title).write_text(json.dumps(dict(os.environ)))
    return Ending(spec.number, "done")

def deaf(spec, report):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)

def long(spec, report):
    Path(spec.title).write_text(str(os.getpid()))
    time.sleep(1000)
"""
LEADER = """
import os, sys
from pathlib import Path
from fiducial.sweeps.job import Spec
from fiducial.sweeps.pool import Limits, Pool

class Watch:
    started = progressed = tick = lambda *_: None
    def ended(self, ending): ...

if __name__ == "__main__":
    specs = [Spec(n, (), None, "", f"job-{n}") for n in range(2)]
    Pool([{}, {}], Path("logs"), Limits(), work="jobs_of_ours.long").run(specs, Watch())
"""


class Endings:
    """Keeps how jobs ended."""

    def __init__(self) -> None:
        self.of: dict[int, Ending] = {}

    def started(self, spec: Spec) -> None: ...

    def progressed(self, progress: Progress) -> None: ...

    def tick(self) -> None: ...

    def ended(self, ending: Ending) -> None:
        self.of[ending.number] = ending


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[int, Ending]]:
    (tmp_path / "jobs_of_ours.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(work: str, slots: list[dict[str, str]], number: int, limits: Limits | None = None) -> dict[int, Ending]:
        endings = Endings()
        specs = [Spec(n, (), None, str(tmp_path), str(tmp_path / f"{n}.json")) for n in range(number)]
        asked = [None, None, *specs, None]  # None: there is none for now
        Pool(slots, tmp_path / "logs", limits or Limits(), work=f"jobs_of_ours.{work}").run(asked, endings)
        return endings.of

    return run


@pytest.mark.slow
def test_a_job_sees_its_slot_and_nothing_of_a_launcher(
    run: Callable[..., dict[int, Ending]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.setenv(name, "1")
    slots = [{"CUDA_VISIBLE_DEVICES": str(n), "OMP_NUM_THREADS": str(n + 2)} for n in range(2)]
    endings = run("environment", slots, 2)
    assert [endings[n].state for n in range(2)] == ["done", "done"]
    seen = [json.loads((tmp_path / f"{n}.json").read_text()) for n in range(2)]
    for variables, slot in zip(seen, slots, strict=True):
        assert slot.items() <= variables.items()
        assert not {"RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_NTASKS"} & variables.keys()
        assert variables["PATH"] == os.environ["PATH"]


@pytest.mark.slow
def test_a_job_that_does_not_listen_is_killed(run: Callable[..., dict[int, Ending]]) -> None:
    begin = time.monotonic()
    endings = run("deaf", [{}], 1, Limits(seconds=1, patience_seconds=1))
    assert endings[0].state == "failed"
    assert "launcher.limit_minutes" in endings[0].message
    assert time.monotonic() - begin < 200


@pytest.mark.slow
def test_jobs_end_with_a_sweep_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "jobs_of_ours.py").write_text(JOBS)
    (tmp_path / "leader.py").write_text(LEADER)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    leader = subprocess.Popen([sys.executable, "leader.py"], cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 200
    while len(found := [path for path in tmp_path.glob("job-*") if path.read_text()]) < 2:
        assert leader.poll() is None
        assert time.monotonic() < deadline, "the jobs never began"
        time.sleep(0.1)
    jobs = [psutil.Process(int(path.read_text())) for path in found]
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    _, alive = psutil.wait_procs(jobs, timeout=60)
    for job in alive:
        job.kill()
    assert not alive
