"""Reading and cutting volumes beside MONAI's CacheDataset and PersistentDataset, with the same transforms.

    python benchmarks/patches.py [--cases 24] [--size 128 128 96] [--workers 0 2 4] [--epochs 3]

Noise in NIfTI files (gzip), as CT would be: orientation to RAS, 1.5 mm spacing, z-score, then two patches of 64 voxels
a case and epoch, in batches of two. Every setting is a process of its own; memory is the proportional set size of it
and its workers, at its highest. The first epoch prepares the cases; "again" is the first epoch of a second process,
which finds what is on disk.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil

SPACING, PATCH, PER_CASE, BATCH = 1.5, (64, 64, 64), 2, 2
KINDS = ("fiducial", "CacheDataset", "PersistentDataset")


def write_cases(root: Path, count: int, size: tuple[int, ...]) -> None:
    """Write a data set in nnU-Net's raw format."""
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    for number in range(count):
        draw = np.random.default_rng(number)
        image = draw.normal(0, 200, size).astype(np.int16)
        mask = np.zeros(size, np.uint8)
        mask[tuple(slice(extent // 4, extent // 2) for extent in size)] = 1
        for folder, name, values in (("imagesTr", f"c{number:03d}_0000", image), ("labelsTr", f"c{number:03d}", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, affine), root / folder / f"{name}.nii.gz")
    content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "lesion": 1}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(content))


def fiducial_loader(root: Path, cache: Path, workers: int) -> Iterable[Any]:
    """Return the framework's batches of patches."""
    from fiducial.data.module import DataModule
    from fiducial.data.nnunet_raw import NnunetRaw
    from fiducial.data.patches import Patches
    from fiducial.data.preparation import Preparation

    source = NnunetRaw(root=root, cache=cache)
    prepare = Preparation(spacing=SPACING, intensity="zscore")
    patches = Patches(size=PATCH, per_case=PER_CASE, foreground=0.5)
    data = DataModule(source, patches=patches, prepare=prepare, batch_size=BATCH, num_workers=workers)
    data.setup()
    return data.train_dataloader()


def monai_loader(kind: str, root: Path, cache: Path, workers: int) -> Iterable[Any]:
    """Return the same patches by MONAI's transforms and one of its caches."""
    from monai import data, transforms

    from fiducial.data.nnunet_raw import NnunetRaw

    keys, modes = ["image", "mask"], ["bilinear", "nearest"]
    steps = [
        transforms.LoadImaged(keys, ensure_channel_first=True),
        transforms.Orientationd(keys, axcodes="RAS", labels=None),
        transforms.Spacingd(keys, pixdim=[SPACING] * 3, mode=modes, padding_mode="border"),
        transforms.NormalizeIntensityd("image", channel_wise=True),
        transforms.RandCropByPosNegLabeld(keys, "mask", PATCH, num_samples=PER_CASE, allow_smaller=True),
    ]
    training = [entry for entry in NnunetRaw(root=root).entries if entry.split == "train"]
    listed = [{"image": str(entry.images[0]), "mask": str(entry.mask)} for entry in training]
    if kind == "CacheDataset":
        dataset = data.CacheDataset(listed, transforms.Compose(steps), num_workers=1, progress=False)
    else:
        options = {"track_meta": True, "weights_only": False}
        dataset = data.PersistentDataset(listed, transforms.Compose(steps), cache_dir=cache, **options)
    return data.DataLoader(dataset, batch_size=1, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


class Memory(threading.Thread):
    """Watch the proportional set size of this process and its workers."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.highest = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.2):
            self.highest = max(self.highest, self.now())

    def now(self) -> float:
        """Return what is held now, in MiB."""
        own = psutil.Process()
        total = 0
        for process in [own, *own.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        return total / 2**20

    def end(self) -> float:
        self._over.set()
        self.join()
        return max(self.highest, self.now())


def measure(kind: str, root: Path, cache: Path, workers: int, epochs: int) -> dict[str, float]:
    """Return seconds of the first and of later epochs, and the highest memory."""
    for name in ("monai.data", "monai.transforms", "fiducial.data.module", "fiducial.data.preparation"):
        importlib.import_module(name)  # imports are no part of what is measured

    memory = Memory()
    memory.start()
    begin = time.perf_counter()
    loader = fiducial_loader(root, cache, workers) if kind == "fiducial" else monai_loader(kind, root, cache, workers)
    seconds = []
    for _ in range(epochs):
        for batch in loader:
            assert batch["image"].shape[2:] == PATCH
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    return {"first": seconds[0], "later": min(seconds[1:]), "memory": memory.end()}


def measured(command: list[str]) -> dict[str, float]:
    """Return what a process of one setting measured."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=3, default=[128, 128, 96])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2, 4])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--one", nargs=4, metavar=("KIND", "ROOT", "CACHE", "WORKERS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        kind, root, cache, workers = args.one
        print(json.dumps(measure(kind, Path(root), Path(cache), int(workers), args.epochs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "raw"
        write_cases(root, args.cases, tuple(args.size))
        print(f"{args.cases} cases of {args.size} voxels, 6 of 10 for training; cases a second, and MiB")
        print(f"{'':<20}{'workers':>8}{'first epoch':>13}{'again':>8}{'later':>8}{'memory':>8}")
        for workers in args.workers:
            for kind in KINDS:
                cache = Path(folder) / f"{kind}-{workers}"
                cache.mkdir()
                command = [sys.executable, __file__, "--epochs", str(args.epochs)]
                command += ["--one", kind, str(root), str(cache), str(workers)]
                found = [measured(command) for _ in range(2)]
                cases = round(0.6 * args.cases)
                rates = [cases / found[0]["first"], cases / found[1]["first"], cases / found[0]["later"]]
                memory = max(each["memory"] for each in found)
                print(f"{kind:<20}{workers:>8}{rates[0]:>13.2f}{rates[1]:>8.1f}{rates[2]:>8.1f}{memory:>8.0f}")


if __name__ == "__main__":
    main()
