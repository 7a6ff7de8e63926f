"""What tracking costs: the same training with the embedded tracker and with none.

    python benchmarks/tracking.py [--rounds 5] [--epochs 6]

A small CNN on phantoms takes milliseconds a step, so that anything tracking did on the training thread would
show. Each run is a process of its own, the two kinds take turns; the seconds from the first training step to the
last count, not the start. The processor time of the whole process stands beside them.
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
    """Train once; return wall and processor seconds between the first and the last step."""
    import pytorch_lightning as pl

    from fiducial.config import compose
    from fiducial.runs import build, folder
    from fiducial.runs import train as module

    class Clock(pl.Callback):
        def on_train_start(self, *_: object) -> None:
            self.begin = time.perf_counter(), time.process_time()

        def on_train_end(self, *_: object) -> None:
            self.end = time.perf_counter(), time.process_time()

    clock, callbacks = Clock(), build.build_callbacks
    module.build_callbacks = lambda *arguments: [*callbacks(*arguments), clock]
    with tempfile.TemporaryDirectory() as outputs:
        settings = ["hardware=cpu", "hardware.threads=1", f"epochs={epochs}", "data.source.num_subjects=2000"]
        composed = compose([*settings, f"tracking={tracking}", f"outputs={outputs}"])
        out = folder.create(composed, composed.identity())
        module.train(folder.config(out), out)
        assert Path(out, folder.SCORES).is_file()
    return {"wall": clock.end[0] - clock.begin[0], "cpu": clock.end[1] - clock.begin[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
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
    print(f"{'':<18}{'wall s':>9}{'ratio':>8}{'cpu s':>9}{'ratio':>8}")
    base = {clock: statistics.median(run[clock] for run in seconds["none"]) for clock in ("wall", "cpu")}
    for kind in KINDS:
        wall, cpu = (statistics.median(run[clock] for run in seconds[kind]) for clock in ("wall", "cpu"))
        print(f"tracking={kind:<9}{wall:>9.2f}{wall / base['wall']:>8.3f}{cpu:>9.2f}{cpu / base['cpu']:>8.3f}")


if __name__ == "__main__":
    main()
