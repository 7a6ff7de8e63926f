"""Images delivered per second, and memory, for the 58,954 JPEG files of MedNIST.

    FIDUCIAL_DATA=FOLDER python benchmarks/delivery.py [--passes 3] [--subset 6000]

Beside a torch DataLoader that decodes each file with PIL, and the pipeline of MONAI's tutorial. Every kind delivers
float32 batches of 300; the peers, which do the same work in every pass, deliver a random subset. Each is a process
of its own; the archive is unpacked before, and the files are in the page cache for all of them. Memory is that of the
process and its workers in the middle of the last pass: RSS counts a page in each process that shares it, PSS (Linux
only) counts it once. Fiducial's pixels are pages of a mapped file, which the system may drop at any time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from fiducial.data.mednist import MedNIST

BATCH_SIZE = 300
KINDS = {
    "fiducial": "Fiducial",
    "torch_0": "DataLoader + PIL, 0 workers",
    "torch_2": "DataLoader + PIL, 2 workers",
    "monai_2": "MONAI pipeline, 2 workers",
}


def source(cache: Path) -> MedNIST:
    return MedNIST(folder=os.environ["FIDUCIAL_DATA"], cache=cache)


def fiducial(cache: Path) -> Iterator[Iterable[Any]]:
    """Yield passes over all images, in batches as a task receives them; the first decodes the files."""
    from fiducial.data.module import DataModule

    def batches() -> Iterator[Any]:
        data.setup()
        for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
            for batch in loader:
                yield data.on_after_batch_transfer(batch, 0)["image"]

    data = DataModule(source(cache), batch_size=BATCH_SIZE)
    while True:
        yield batches()


def subset_of(cache: Path, subset: int) -> list[str]:
    import numpy as np

    files = [str(file) for file in source(cache).files]
    return [files[number] for number in np.random.default_rng(0).choice(len(files), subset, replace=False)]


def pil(cache: Path, subset: int, num_workers: int) -> Iterator[Iterable[Any]]:
    """Yield passes over a subset, each file decoded and normalised by itself."""
    import numpy as np
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    class Files(Dataset[torch.Tensor]):
        def __init__(self) -> None:
            self.files = subset_of(cache, subset)

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, index: int) -> torch.Tensor:
            with Image.open(self.files[index]) as image:
                return (torch.from_numpy(np.array(image))[None].float().div(255) - 0.5) / 0.5

    loader = DataLoader(Files(), BATCH_SIZE, shuffle=True, num_workers=num_workers, persistent_workers=num_workers > 0)
    while True:
        yield loader


def monai(cache: Path, subset: int, num_workers: int) -> Iterator[Iterable[Any]]:
    """Yield passes over a subset, as in MONAI's MedNIST tutorial."""
    from monai.data import DataLoader, Dataset
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, ScaleIntensity

    steps = Compose([LoadImage(image_only=True), EnsureChannelFirst(), ScaleIntensity()])
    images = Dataset(subset_of(cache, subset), steps)
    loader = DataLoader(
        images, batch_size=BATCH_SIZE, shuffle=True, num_workers=num_workers, persistent_workers=num_workers > 0
    )
    while True:
        yield loader


def memory() -> tuple[int, int]:
    """Return RSS and PSS of this process and its workers, in bytes."""
    process = psutil.Process()
    found = [member.memory_full_info() for member in (process, *process.children(recursive=True))]
    return sum(member.rss for member in found), sum(member.pss for member in found)


def deliver(kind: str, cache: Path, passes: int, subset: int) -> dict[str, Any]:
    """Return images per second of each pass, and memory in the last one."""
    name, _, workers = kind.partition("_")
    sources = {"torch": pil, "monai": monai}
    rounds = fiducial(cache) if name == "fiducial" else sources[name](cache, subset, int(workers))
    speeds, used = [], (0, 0)
    for number in range(passes):
        delivered, begin, paused = 0, time.perf_counter(), 0.0
        for batch in next(rounds):
            assert batch.shape[1:] == (1, 64, 64)
            delivered += len(batch)
            if number == passes - 1 and used == (0, 0) and delivered >= subset // 2:
                stop = time.perf_counter()
                used = memory()
                paused = time.perf_counter() - stop
        speeds.append(delivered / (time.perf_counter() - begin - paused))
    return {"speeds": speeds, "rss": used[0] / 2**20, "pss": used[1] / 2**20}


def measure(kind: str, cache: Path, passes: int, subset: int) -> dict[str, Any]:
    """Return what one kind delivers, from a process of its own."""
    options = ["--kind", kind, "--cache", str(cache), "--passes", str(passes), "--subset", str(subset)]
    done = subprocess.run([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--subset", type=int, default=6000)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        print(json.dumps(deliver(args.kind, args.cache, args.passes, args.subset)))
        return
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        print(f"{len(source(cache).files):,} files", flush=True)  # unpacks the archive
        print(f"{'':<30}{'first pass':>12}{'later':>10}  images/s{'ratio':>8}{'RSS':>8}{'PSS':>8}  MiB", flush=True)
        rates: dict[str, float] = {}
        for kind, title in KINDS.items():
            found = measure(kind, cache, args.passes, args.subset)
            first, later = found["speeds"][0], max(found["speeds"][1:])
            rates[kind] = later
            ratio = rates["fiducial"] / later
            memory_used = f"{found['rss']:>8.0f}{found['pss']:>8.0f}"
            print(f"{title:<30}{first:>12,.0f}{later:>10,.0f}{ratio:>17.1f}×{memory_used}", flush=True)


if __name__ == "__main__":
    main()
