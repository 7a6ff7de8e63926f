"""Training throughput: ResNet-18 at 28 px on PneumoniaMNIST, batch 128, on the CPU or on a GPU; or a plain CNN.

    python benchmarks/throughput.py [--rounds 3] [--steps 8]
    python benchmarks/throughput.py --model plain_cnn --steps 36
    python benchmarks/throughput.py --gpu --steps 36

Beside a loop written by hand in the style of the MedMNIST authors' protocol: a DataLoader with per-sample
transforms, Adam, the loss read at every step. On the CPU also beside a limit: the network's convolutions and nothing
else, forwards and backwards, channels-last, in single precision; no data, normalisation, activation or optimizer.
Each measurement is a process of its own, the kinds take turns, and the median of all steps but the first two counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

KINDS = {
    "loop": "hand-written loop",
    "cpu": "hardware=cpu",
    "cpu_fast": "hardware=cpu_fast",
    "limit": "its convolutions and nothing else",
    "gpu_loop": "hand-written loop",
    "gpu": "hardware=gpu",
    "gpu_fast": "hardware=gpu hardware.precision=fastest",
}
MODELS = ("resnet18", "plain_cnn")
BATCH_SIZE, WARM_UP = 128, 2


def built(network: str) -> torch.nn.Module:
    """Return a network for PneumoniaMNIST."""
    from fiducial.models.plain_cnn import PlainCNN
    from fiducial.models.resnet import ResNet

    if network == "plain_cnn":
        return PlainCNN(in_channels=1, num_outputs=2, size=(28, 28))
    return ResNet(in_channels=1, num_outputs=2)


def hand_written_loop(device: str, network: str, steps: int) -> list[float]:
    """Train as a short script would; return the seconds of each step, loading included."""
    import numpy as np
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    class PneumoniaMNIST(Dataset):
        def __init__(self) -> None:
            with np.load(Path(os.environ["FIDUCIAL_DATA"]) / "medmnist" / "pneumoniamnist.npz") as file:
                self.images, self.labels = file["train_images"], file["train_labels"]

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, np.ndarray]:
            pixels = np.array(Image.fromarray(self.images[index]))[None]
            return (torch.from_numpy(pixels).float().div(255) - 0.5) / 0.5, self.labels[index].astype(int)

    torch.manual_seed(0)
    model = built(network).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss()
    loader = DataLoader(PneumoniaMNIST(), batch_size=BATCH_SIZE, shuffle=True)
    model.train()
    times, losses, begin = [], [], time.perf_counter()
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = criterion(model(inputs.to(device)), torch.squeeze(targets, 1).long().to(device))
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        now = time.perf_counter()
        times.append(now - begin)
        begin = now
        if len(times) == steps:
            break
    return times


def convolutions_alone(network: str, steps: int) -> list[float]:
    """Compute what the network's convolutions do in a step, forwards and backwards; return the seconds of each step."""
    import torch

    model = built(network).to(memory_format=torch.channels_last)
    work: list[tuple[torch.nn.Module, torch.Tensor, torch.Tensor]] = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        image = len(work) == 0  # needs no gradient
        work.append((module, torch.randn_like(inputs[0]).requires_grad_(not image), torch.randn_like(output)))

    hooks = [module.register_forward_hook(note) for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    with torch.no_grad():
        model(torch.randn(BATCH_SIZE, 1, 28, 28).to(memory_format=torch.channels_last))
    for hook in hooks:
        hook.remove()
    times = []
    for _ in range(steps):
        begin = time.perf_counter()
        for module, inputs, gradient in work:
            inputs.grad = None
            module.zero_grad()
            module(inputs).backward(gradient)
        times.append(time.perf_counter() - begin)
    return times


def fiducial(hardware: Sequence[str], network: str, steps: int) -> list[float]:
    """Train with Fiducial; return the seconds of each step, loading included."""
    import pytorch_lightning as pl
    import torch

    from fiducial.config import compose
    from fiducial.config.construction import component
    from fiducial.randomness import reseed
    from fiducial.runs.build import build_data, build_task, trainer_for
    from fiducial.runs.quiet import quiet

    class Clock(pl.Callback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_train_start(self, *_: object) -> None:
            self.begin = time.perf_counter()

        def on_train_batch_end(self, *_: object) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            now = time.perf_counter()
            self.times.append(now - self.begin)
            self.begin = now

    quiet()
    preset = ["experiment=medmnist_resnet18", "data=pneumoniamnist", f"model={network}", *hardware, "epochs=1"]
    limits = [f"trainer.limit_train_batches={steps}", "trainer.limit_val_batches=1"]
    with tempfile.TemporaryDirectory() as folder:
        cfg = compose([*preset, *limits, f"outputs={folder}"]).cfg
        device = component(cfg.hardware)
        device.prepare()
        data = build_data(cfg)
        reseed(cfg.seed, "weights")
        clock = Clock()
        trainer = trainer_for(cfg, Path(folder), device, logger=None, callbacks=[clock])
        trainer.fit(build_task(cfg, data, device), datamodule=data)
    return clock.times


def times_of(kind: str, network: str, steps: int) -> list[float]:
    """Return the seconds of each step, measured in this process."""
    if kind.endswith("loop"):
        return hand_written_loop("cuda" if kind == "gpu_loop" else "cpu", network, steps)
    if kind == "limit":
        return convolutions_alone(network, steps)
    return fiducial(KINDS[kind].split(), network, steps)


def measure(kind: str, network: str, steps: int) -> list[float]:
    """Return the seconds of each step after the warm-up, from a process of its own."""
    command = [sys.executable, __file__, "--kind", kind, "--model", network, "--steps", str(steps)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    times: list[float] = json.loads(done.stdout.splitlines()[-1])
    return times[WARM_UP:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--model", choices=MODELS, default=MODELS[0])
    parser.add_argument("--gpu", action="store_true", help="on a CUDA GPU instead of the CPU")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        print(json.dumps(times_of(args.kind, args.model, args.steps)))
        return
    times: dict[str, list[float]] = {kind: [] for kind in KINDS if kind.startswith("gpu") == args.gpu}
    for _ in range(args.rounds):
        for kind in times:
            times[kind] += measure(kind, args.model, args.steps)
    base = statistics.median(next(iter(times.values())))
    print(f"{'':<42}{'s / step':>10}{'images / s':>12}{'ratio':>8}")
    for kind, measured in times.items():
        median = statistics.median(measured)
        print(f"{KINDS[kind]:<42}{median:>10.4f}{BATCH_SIZE / median:>12.1f}{base / median:>8.2f}")


if __name__ == "__main__":
    main()
