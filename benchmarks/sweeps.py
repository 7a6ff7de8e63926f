"""A sweep of short trainings: Fiducial's launcher beside Hydra's basic one and hydra-joblib-launcher.

    pip install hydra-joblib-launcher
    python benchmarks/sweeps.py [--jobs 32] [--rounds 1]

The jobs are the same: the same settings, the same training, test, pictures and tracking, into an outputs folder of
their own. Hydra's launchers run them in an application of the usual kind (`hydra_app.py`). What counts is the wall time
of the whole command, from its start to its end, and how many runs are finished afterwards. With `--epochs 1` it
is little more than what a job costs beyond its training.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("fiducial", "basic", "joblib")
SMALL = [
    "data.source.num_subjects=300",
    "data.source.size=[32,32]",
    "data.batch_size=32",
    "hardware=cpu_fast",
    "name=job",
]
AT_ONCE = 2


def command(kind: str, job: list[str], num_jobs: int) -> list[str]:
    """Return the command that runs `num_jobs` jobs: half as many learning rates, two seeds."""
    rates = ",".join(f"{0.0005 * (1 + number):.4f}" for number in range(num_jobs // 2))
    if kind == "fiducial":
        return [sys.executable, "-m", "fiducial", "train", "-m", *job, f"optimizer.lr={rates}", "seed=0,1"]
    launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={AT_ONCE}"] if kind == "joblib" else []
    places = ["hydra.output_subdir=null", f"hydra.sweep.dir={job[-1].partition('=')[2]}/hydra"]
    app = str(Path(__file__).with_name("hydra_app.py"))
    return [sys.executable, app, "-m", *launcher, *places, f"+lr={rates}", "+seed=0,1"]


def measure(kind: str, epochs: int, num_jobs: int) -> tuple[float, int]:
    """Run a sweep; return its wall seconds and how many runs are finished."""
    with tempfile.TemporaryDirectory() as outputs:
        job = [*SMALL, f"epochs={epochs}", f"outputs={outputs}"]
        begin = time.monotonic()
        done = subprocess.run(
            command(kind, job, num_jobs), capture_output=True, text=True, env={**os.environ, "JOB": " ".join(job)}
        )
        seconds = time.monotonic() - begin
        finished = len(list(Path(outputs).glob("runs/*/*/scores.json")))
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
        return seconds, finished


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    results: dict[str, list[tuple[float, int]]] = {kind: [] for kind in KINDS}
    for _ in range(args.rounds):
        for kind in KINDS:
            results[kind].append(measure(kind, args.epochs, args.jobs))
    own = statistics.median(seconds for seconds, _ in results["fiducial"])
    print(f"{'launcher':<12}{'s':>8}{'s / job':>10}{'finished':>10}{'× slower':>10}  each round")
    for kind, measured in results.items():
        seconds = statistics.median(seconds for seconds, _ in measured)
        finished = min(count for _, count in measured)
        counted = f"{finished}/{args.jobs}"
        each = ", ".join(f"{taken:.1f}" for taken, _ in measured)
        print(f"{kind:<12}{seconds:>8.1f}{seconds / args.jobs:>10.2f}{counted:>10}{seconds / own:>10.2f}  {each}")


if __name__ == "__main__":
    main()
