"""Time and memory of `fiducial compare` over 1,000 and 10,000 runs.

    python benchmarks/compare.py [--runs 1000 10000] [--cases 500] [--metric auroc,accuracy]

Made-up finished runs, three seeds a setting, each with a folder as a run leaves it behind: record, configuration,
origin, scores, predictions of binary labels. The command is a process of its own; memory is the highest that it held.
Beside it, the same process reads the same predictions with pandas and does nothing with them: the limit that the disk
and the parsing of text set.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SEEDS = 3
READ = """
import pathlib, sys
import pandas
for file in pathlib.Path(sys.argv[1]).glob("runs/*/*/predictions.csv"):
    pandas.read_csv(file)
"""


def write_runs(outputs: Path, num_runs: int, num_cases: int) -> None:
    """Write the folders of finished runs."""
    draw = np.random.default_rng(0)
    labels = np.arange(num_cases) % 2
    for number in range(num_runs):
        setting, seed = divmod(number, SEEDS)
        out = outputs / "runs" / "made-up" / f"{number:06d}"
        out.mkdir(parents=True)
        settings = {"seed": seed, "optimizer.lr": 1e-5 * (setting + 1), "objective": "val/auroc"}
        choices = {"data": "made_up", "model": "made_up"}
        record = {"identity": str(number), "choices": choices, "overrides": [], "settings": settings}
        (out / "run.json").write_text(json.dumps(record))
        (out / "config.yaml").write_text("name: made-up\nstudy: made-up\n")
        files = out / "tracking" / "files"
        files.mkdir(parents=True)
        (files / "provenance.json").write_text(json.dumps({"packages": {"fiducial": "0.1.0"}, "commit": 40 * "0"}))
        (files / "data.json").write_text(json.dumps({"sha256": 64 * "0"}))
        objective = {"name": "val/auroc", "value": float(draw.uniform(0.7, 0.9))}
        (out / "scores.json").write_text(json.dumps({"epoch": 0, "objective": objective}))
        score = 1 / (1 + np.exp(-draw.normal(labels - 0.5)))
        lines = ["case,subject,split,label,predicted,p_0,p_1"]
        lines += [
            f"{n:05d},{n:05d},test,{label},{int(p > 0.5)},{1 - p:.9g},{p:.9g}"
            for n, (label, p) in enumerate(zip(labels.tolist(), score.tolist(), strict=True))
        ]
        (out / "predictions.csv").write_text("\n".join(lines) + "\n")


def measure(command: list[str]) -> tuple[float, float, float]:
    """Return seconds, seconds of computing, and the highest memory, in MiB, of a process."""
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begin
    assert status == 0, f"{command} failed"
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--metric", default="auroc,accuracy")
    args = parser.parse_args()
    print(f"{'runs':>7}  {'compare':>9}  {'computing':>9}  {'memory':>9}  {'pandas alone':>12}  {'computing':>9}")
    for num_runs in args.runs:
        with tempfile.TemporaryDirectory() as place:
            write_runs(Path(place), num_runs, args.cases)
            fiducial = [sys.executable, "-m", "fiducial", "compare", "--experiment", "made-up", "--outputs", place]
            seconds, computing, memory = measure([*fiducial, "--metric", args.metric, "--csv", f"{place}/table.csv"])
            alone, reading, _ = measure([sys.executable, "-c", READ, place])
        print(
            f"{num_runs:>7,}  {seconds:>7.1f} s  {computing:>7.1f} s  {memory:>5.0f} MiB  {alone:>10.1f} s  "
            f"{reading:>7.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
