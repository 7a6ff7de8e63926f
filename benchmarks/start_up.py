"""How long a command takes to answer from a cold start, and to its first training step.

    python benchmarks/start_up.py [--rounds 7]

Each answer is measured in a process of its own, the commands taking turns, so that all of them meet the same
machine; the median counts. Beside them stand what any Python program costs, and the imports that cannot be avoided:
Hydra for what is composed; torch, Lightning and MONAI for what is trained. Wall time depends on what else the
machine does; processor time (user and system) much less.

Limit: whatever needs no torch answers within 0.6 s on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FIDUCIAL = ("-m", "fiducial")
TRAIN = (*FIDUCIAL, "train", "hardware=cpu", "optimizer._target_=first_step.FirstStep")
COMMANDS: dict[str, tuple[str, ...]] = {
    "python -c pass": ("-c", "pass"),
    "import hydra": ("-c", "import hydra"),
    "fiducial --help": (*FIDUCIAL, "--help"),
    "fiducial train --help": (*FIDUCIAL, "train", "--help"),
    "fiducial options": (*FIDUCIAL, "options"),
    "complete `optimizer.`": (*FIDUCIAL, "completion", "bash", "--line", "fiducial train optimizer."),
    "misspelt option": (*FIDUCIAL, "train", "model=resnet81"),
    "misspelt key": (*FIDUCIAL, "train", "optimizer.lrr=1"),
    "options that do not fit": (*FIDUCIAL, "train", "data=breastmnist", "model=densenet121"),
    "train --cfg job": (*FIDUCIAL, "train", "--cfg", "job"),
    "import torch": ("-c", "import torch"),
    "import torch, Lightning, MONAI": ("-c", "import torch, pytorch_lightning, monai"),
    "first training step": (*TRAIN, "tracking=none"),
    "first training step, tracked": TRAIN,
}


@dataclass(frozen=True)
class Cost:
    """Seconds from the start of a process to its end, or to its first training step."""

    wall: float
    processor: float


def measure(arguments: tuple[str, ...], folder: Path) -> Cost:
    """Run one command from a cold start."""
    stamp = folder / "first_step.json"
    stamp.unlink(missing_ok=True)
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "FIRST_STEP": str(stamp), "PYTHONPATH": os.pathsep.join(paths)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if "optimizer._target_=first_step.FirstStep" in arguments:
        moment, processor = json.loads(stamp.read_text())
        return Cost(moment - start, processor)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    costs: dict[str, list[Cost]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for arguments in COMMANDS.values():  # once for the disk's cache
            measure(arguments, Path(folder))
        for _ in range(rounds):
            for name, arguments in COMMANDS.items():
                costs[name].append(measure(arguments, Path(folder)))
    hydra = statistics.median(cost.processor for cost in costs["import hydra"])
    print(f"{'median of ' + str(rounds):<32}{'wall s':>8}{'CPU s':>8}{'CPU, as a multiple of import hydra':>38}")
    for name, measured in costs.items():
        wall = statistics.median(cost.wall for cost in measured)
        processor = statistics.median(cost.processor for cost in measured)
        print(f"{name:<32}{wall:>8.2f}{processor:>8.2f}{processor / hydra:>38.1f}")


if __name__ == "__main__":
    main()
