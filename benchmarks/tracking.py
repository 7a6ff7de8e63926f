"""What tracking costs: the same training with the embedded tracker and with none.

    python benchmarks/tracking.py [--rounds 5] [--epochs 16]

A small CNN on phantoms takes milliseconds a step, so that anything tracking did on the training thread would
show. Each run is a process of its own, the two kinds take turns. Two things are told apart: what a run pays once, while
another thread imports MLflow and connects to the database (the difference of the first half), and what it pays all the
time (the ratio of the second half). The processor time of the whole process stands beside the wall time.

Two runs of the same differ by more than tracking costs. The last two lines therefore count what it does in the second
half: the calls that the training thread makes, and the processor time of all other threads, as parts of the wall time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("none", "local")


def train(tracking: str, epochs: int) -> dict[str, float]:
    """Train once; return seconds of the first and the second half of the epochs."""
    import pytorch_lightning as pl

    from fiducial.config import compose
    from fiducial.runs import build, folder
    from fiducial.runs import train as module
    from fiducial.tracking.lightning_logger import TrackingLogger

    class Clock(pl.Callback):
        """Notes seconds on the wall, of the process, of the training thread, and in calls of the logger."""

        logging = 0.0

        def on_train_start(self, *_: object) -> None:
            self.times = [self.now()]

        def on_train_epoch_end(self, *_: object) -> None:
            self.times.append(self.now())

        def now(self) -> tuple[float, ...]:
            return time.perf_counter(), time.process_time(), time.thread_time(), self.logging

    def log_metrics(*arguments: object, **named: object) -> None:
        begin = time.perf_counter()
        logs(*arguments, **named)
        clock.logging += time.perf_counter() - begin

    logs, TrackingLogger.log_metrics = TrackingLogger.log_metrics, log_metrics
    clock, callbacks = Clock(), build.build_callbacks
    module.build_callbacks = lambda *arguments: [*callbacks(*arguments), clock]
    with tempfile.TemporaryDirectory() as outputs:
        settings = ["hardware=cpu", "hardware.threads=1", f"epochs={epochs}", "data.source.num_subjects=2000"]
        composed = compose([*settings, f"tracking={tracking}", f"outputs={outputs}"])
        out = folder.create(composed, composed.identity())
        module.train(folder.config(out), out)
        assert Path(out, folder.SCORES).is_file()
    first, middle, last = (clock.times[number] for number in (0, epochs // 2, -1))
    wall, processor, own, logging = (late - early for late, early in zip(last, middle, strict=True))
    return {
        "wall, first half": middle[0] - first[0],
        "wall, second half": wall,
        "processor, first half": middle[1] - first[1],
        "processor, second half": processor,
        "other threads, % of wall": 100 * (processor - own) / wall,
        "logging calls, % of wall": 100 * logging / wall,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        print(json.dumps(train(args.kind, args.epochs)))
        return
    seconds: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for number in range(args.rounds):
        for kind in KINDS if number % 2 else reversed(KINDS):
            command = [sys.executable, __file__, "--kind", kind, "--epochs", str(args.epochs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[kind].append(json.loads(done.stdout.splitlines()[-1]))
    parts = {
        part: [statistics.median(run[part] for run in seconds[kind]) for kind in KINDS] for part in seconds["none"][0]
    }
    print(f"{'':<26}{'none':>10}{'local':>10}{'added':>10}{'ratio':>8}")
    for part, (none, local) in parts.items():
        if "%" in part:
            print(f"{part:<26}{none:>10.3f}{local:>10.3f}{local - none:>10.3f}")
        else:
            print(f"{part + ', s':<26}{none:>10.2f}{local:>10.2f}{local - none:>10.2f}{local / none:>8.3f}")


if __name__ == "__main__":
    main()
