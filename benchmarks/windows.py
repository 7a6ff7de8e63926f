"""Whole volumes predicted window by window, beside MONAI's own sliding windows, as the volume grows.

    python benchmarks/windows.py [--extents 128 256 512] [--rounds 3]

A network of one convolution, so that cutting, weighing and adding up are what is measured: windows of 64 voxels, half
overlapping, Gaussian weights, two classes, one thread. MONAI's gives averaged logits, of which a softmax is taken at
the end; Fiducial's averages probabilities. Every measurement is a process of its own; memory is what its peak resident
size has above that of the process with volume and network before it predicts.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

WINDOW, CLASSES = 64, 2
KINDS = ("MONAI", "fiducial")


def measure(kind: str, extent: int) -> dict[str, float]:
    """Predict once; return seconds and the MiB that it took at its highest."""
    import torch
    from monai.inferers.utils import sliding_window_inference

    from fiducial.tasks.windows import Windows

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, CLASSES, 3, padding=1).eval()
    image = torch.randn(1, 1, extent, extent, extent)
    size = (WINDOW,) * 3
    windows = Windows(size)
    before, begin = _peak(), time.perf_counter()
    with torch.inference_mode():
        if kind == "fiducial":
            found = windows(network, image)
        else:
            found = sliding_window_inference(image, size, 4, network, 0.5, mode="gaussian").softmax(1)
    seconds = time.perf_counter() - begin
    assert found.shape == (1, CLASSES, extent, extent, extent)
    return {"seconds": seconds, "memory": _peak() - before}


def _peak() -> float:
    """Return the highest resident size of this process so far, in MiB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extents", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "EXTENT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], int(args.one[1]))))
        return
    print(f"{'extent':>6}  {'':<10}{'s':>8}{'MiB':>8}{'MiB / volume':>14}{'time ×':>8}{'memory ×':>10}")
    for extent in args.extents:
        found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for _ in range(args.rounds):
            for kind in KINDS:
                command = [sys.executable, __file__, "--one", kind, str(extent)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found[kind].append(json.loads(done.stdout.splitlines()[-1]))
        middle = {
            kind: {name: statistics.median(each[name] for each in rounds) for name in ("seconds", "memory")}
            for kind, rounds in found.items()
        }
        for kind in KINDS:
            ours, theirs = middle[kind], middle["MONAI"]
            volume = extent**3 * 4 / 2**20
            print(
                f"{extent:>6}  {kind:<10}{ours['seconds']:>8.2f}{ours['memory']:>8.0f}{ours['memory'] / volume:>14.1f}"
                f"{ours['seconds'] / theirs['seconds']:>8.2f}{ours['memory'] / theirs['memory']:>10.2f}"
            )


if __name__ == "__main__":
    main()
