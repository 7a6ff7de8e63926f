"""What tracking adds to a whole command, from its start to its end, as a user waits for it.

    python benchmarks/whole_run.py [--rounds 10] [OVERRIDE ...]

`tracking.py` says what a step costs. Here the command runs to its end: without tracking, tracked in a folder that has
no database yet, and tracked in one that has. The three take turns in a random order; what counts is the difference
to the untracked one of the same round, with a bootstrap interval over rounds. A machine whose speed drifts makes that
interval wide, so what a run waits for at its end, until the rest has arrived, is also measured by itself.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

KINDS = {
    "untracked": ("tracking=none", "new"),
    "tracked, a new database": ("tracking=local", "new"),
    "tracked, the database is there": ("tracking=local", "used"),
}
RESAMPLES = 10_000
INSIDE = "--inside"  # the first argument of the processes that are measured


@dataclass(frozen=True)
class Cost:
    """Seconds of a whole command, and of those, from the end of the run's work to the end of its delivery."""

    whole: float
    end: float


def measure(overrides: list[str], outputs: Path) -> Cost:
    """Run the command in a process of its own."""
    arguments = [*overrides, f"outputs={outputs}"]
    start = time.monotonic()
    done = subprocess.run([sys.executable, __file__, INSIDE, *arguments], check=True, capture_output=True, text=True)
    return Cost(time.monotonic() - start, float(done.stdout.splitlines()[-1]))


def train(overrides: list[str]) -> None:
    """Do what the command does, and print how long the run's end took."""
    from fiducial.cli.command import run
    from fiducial.tracking import Run

    ends, end = [], Run.end

    def timed(self: Run, status: str) -> None:
        start = time.monotonic()
        end(self, status)
        ends.append(time.monotonic() - start)

    Run.end = timed
    run("train", overrides)
    print(*ends)


def interval(differences: list[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean."""
    draw = random.Random(seed)
    means = sorted(statistics.fmean(draw.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    return means[round(0.025 * RESAMPLES)], means[round(0.975 * RESAMPLES) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("overrides", nargs="*", default=["experiment=quickstart"])
    args = parser.parse_args()
    taken: dict[str, list[Cost]] = {kind: [] for kind in KINDS}
    order = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        used = Path(folder) / "used"
        measure([*args.overrides, "tracking=local"], used)  # makes the database, and fills the disk's cache
        for number in range(args.rounds):
            for kind in order.sample(list(KINDS), len(KINDS)):
                tracking, outputs = KINDS[kind]
                new = Path(folder) / f"{number}-{tracking.partition('=')[2]}"
                taken[kind].append(measure([*args.overrides, tracking], used if outputs == "used" else new))
    print(f"fiducial train {' '.join(args.overrides)}, {args.rounds} rounds\n")
    print(f"{'':<32}{'s':>6}{'added, s':>10}{'95 % interval':>18}{'end, s: median':>16}{'longest':>9}")
    base = [cost.whole for cost in taken["untracked"]]
    for kind, costs in taken.items():
        added = [cost.whole - other for cost, other in zip(costs, base, strict=True)]
        low, high = interval(added)
        shown = "" if kind == "untracked" else f"{statistics.fmean(added):>+10.2f}{f'{low:+.2f} to {high:+.2f}':>18}"
        ends = [cost.end for cost in costs]
        mean = statistics.fmean(cost.whole for cost in costs)
        print(f"{kind:<32}{mean:>6.2f}{shown:<28}{statistics.median(ends):>16.3f}{max(ends):>9.3f}")


if __name__ == "__main__":
    if sys.argv[1:2] == [INSIDE]:
        train(sys.argv[2:])
    else:
        main()
