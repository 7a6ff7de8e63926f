"""What tracking costs: the same training with the embedded tracker and with none.

    python benchmarks/tracking.py [--seconds 600]

A small CNN on phantoms takes milliseconds a step, so that anything tracking did on the training thread would show.
Two runs of the same, one after the other, differ by more than tracking costs, because the machine does. So here both
processes are there at once and only ever one of them runs: each is stopped (SIGSTOP) while the other trains, a quarter
of a second at a time, and what counts is the steps of each in the seconds that it had. The tracked run delivers and
samples half as often by the clock as it does by default, which is as often a second of its own.

Two things are told apart: what a run pays once, after its start, while another process imports MLflow and makes the
database, and what it pays all the time. The interval of the latter is a bootstrap over blocks of turns that are longer
than an epoch.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

KINDS = ("none", "local")
TURNS = ("none", "local", "local", "none")  # a drift of the machine's speed meets both alike
TURN_SECONDS, TURNS_OF_A_BLOCK, RESAMPLES = 0.25, 32, 2000  # turns of either kind
SETTINGS = ("hardware=cpu", "hardware.threads=1", "epochs=100000", "data.source.num_subjects=1000", "data.batch_size=8")
HALF_AS_OFTEN = ("tracking.flush_seconds=10", "tracking.system_metrics_seconds=20")


def train(kind: str, folder_of_run: Path) -> None:
    """Train until killed, stopped at the start of training; count the steps in a file."""
    import pytorch_lightning as pl

    from fiducial.config import compose
    from fiducial.runs import folder
    from fiducial.runs.train import train

    class Count(pl.Callback):
        def on_train_start(self, *_: object) -> None:
            os.kill(os.getpid(), signal.SIGSTOP)

        def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
            counter[:] = (trainer.global_step + 1).to_bytes(8, "little")

    with (folder_of_run / "steps").open("r+b") as file, mmap.mmap(file.fileno(), 8) as counter:
        slower = HALF_AS_OFTEN if kind != "none" else ()
        composed = compose([*SETTINGS, f"tracking={kind}", *slower, f"outputs={folder_of_run / 'outputs'}"])
        out = folder.create(composed, composed.identity())
        train(folder.config(out), out, callbacks=[Count()])


@dataclass
class Training:
    """A process that trains while it is let, and what it did in its turns.

    Attributes:
        seconds: that it has had.
        history: those after each turn, and its steps by then.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    seconds: float = 0.0
    history: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])

    @classmethod
    def start(cls, kind: str, place: Path) -> Training:
        """Start a process; it is stopped at its first step."""
        folder = place / kind
        folder.mkdir()
        (folder / "steps").write_bytes(bytes(8))
        command = [sys.executable, __file__, "--kind", kind, "--folder", str(folder)]
        null = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=null, stderr=null, start_new_session=True)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if process.poll() is not None:
            raise SystemExit(f"the training with tracking={kind} ended with {process.returncode}")
        return cls(folder, process)

    def turn(self) -> None:
        """Let it train for a turn."""
        begin = time.perf_counter()
        os.killpg(self.process.pid, signal.SIGCONT)
        time.sleep(TURN_SECONDS)
        os.killpg(self.process.pid, signal.SIGSTOP)
        self.seconds += time.perf_counter() - begin
        self.history.append((self.seconds, int.from_bytes((self.folder / "steps").read_bytes(), "little")))

    @property
    def has_delivered(self) -> bool:
        """Whether its tracker has reached the database."""
        return any(self.folder.glob("outputs/runs/*/*/tracking/delivered.json"))

    def end(self) -> None:
        """End it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def seconds_to(steps: float, history: list[tuple[float, int]]) -> float:
    """Return after how many seconds of its own a training had done so many steps."""
    for (before, fewer), (after, more) in pairwise(history):
        if fewer <= steps <= more and more > fewer:
            return before + (after - before) * (steps - fewer) / (more - fewer)
    return history[-1][0]


def blocks(trainings: dict[str, Training], first: int) -> Iterator[dict[str, tuple[float, int]]]:
    """Yield the seconds and steps of each kind in each block of turns from turn `first` of each on."""
    length = TURNS_OF_A_BLOCK
    for number in range(first, len(trainings["none"].history) - length, length):
        ends = {kind: (one.history[number], one.history[number + length]) for kind, one in trainings.items()}
        yield {kind: (end[0] - begin[0], end[1] - begin[1]) for kind, (begin, end) in ends.items()}


def ratio(chosen: list[dict[str, tuple[float, int]]]) -> float:
    """Return the time of a step with tracking, as a multiple of that without."""
    pace = {kind: sum(one[kind][0] for one in chosen) / sum(one[kind][1] for one in chosen) for kind in KINDS}
    return pace["local"] / pace["none"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="of both together (default: 600)")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        train(args.kind, args.folder)
        return
    with tempfile.TemporaryDirectory() as place:
        trainings = {kind: Training.start(kind, Path(place)) for kind in KINDS}
        steady = 0
        for number in range(int(args.seconds / len(TURNS) / TURN_SECONDS)):
            for kind in TURNS:
                trainings[kind].turn()
            if not steady and trainings["local"].has_delivered:
                steady = 2 * (number + 1) + TURNS_OF_A_BLOCK  # the first delivery may go on
        for training in trainings.values():
            training.end()
    none, local = (trainings[kind].history for kind in KINDS)
    steps = local[steady][1]
    once = seconds_to(steps, local) - seconds_to(steps, none)
    measured = list(blocks(trainings, steady))
    again = sorted(ratio(random.Random(seed).choices(measured, k=len(measured))) for seed in range(RESAMPLES))
    added, low, high = (100 * (one - 1) for one in (ratio(measured), again[RESAMPLES // 40], again[-RESAMPLES // 40]))
    milliseconds = 1000 * sum(one["none"][0] for one in measured) / sum(one["none"][1] for one in measured)
    print(f"a step without tracking      {milliseconds:.2f} ms")
    print(f"tracking adds to each        {added:+.2f} % [{low:+.2f}, {high:+.2f}]")
    print(f"  from {len(measured)} blocks of {TURNS_OF_A_BLOCK} turns of {TURN_SECONDS:g} s each")
    print(f"and once, in the first {seconds_to(steps, none):.0f} s     {once:.2f} s")


if __name__ == "__main__":
    main()
