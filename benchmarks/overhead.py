"""What the framework adds to a training step, beside a bare loop over the same batches.

    python benchmarks/overhead.py [--rounds 9] [--threads 1]

Two networks: a tiny one on 16-pixel images, 8 a batch, where every microsecond shows; ResNet-18 at 28 pixels,
128 a batch, on images of PneumoniaMNIST's kind. After each epoch of the trainer the bare loop takes the same
batches through a twin of the network, in the same process, so that both meet the same machine; the median of all
epochs counts. At the end both networks must have the same weights, bit for bit.

Limits: 1 ms a step for the tiny network, 5 % for ResNet-18.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch

from fiducial.config import compose
from fiducial.config.construction import component
from fiducial.data.module import in_unit_range, standardise
from fiducial.reports.progress import Progress
from fiducial.runs.build import build_callbacks, build_data, build_task, trainer_for
from fiducial.runs.quiet import quiet
from fiducial.tasks.base import Task
from fiducial.tracking import NullRun

SETTINGS = {
    "tiny": ["data.source.num_subjects=400", "data.source.size=[16,16]", "data.batch_size=8", "model.widths=[4]"],
    "resnet18": ["data.source.num_subjects=320", "data.source.size=[28,28]", "data.batch_size=128", "model=resnet18"],
}
LIMITS = {"tiny": "1 ms", "resnet18": "5 %"}


@dataclass(frozen=True)
class Clock:
    """Wall and processor seconds, at a moment or between two."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Clock:
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: Clock, steps: int) -> Clock:
        return Clock((self.wall - start.wall) / steps, (self.processor - start.processor) / steps)


class Bare(Progress):
    """In the place of the progress line: time each epoch's steps, then the same steps without the framework."""

    def __init__(self, task: Task) -> None:
        super().__init__("val/loss")
        self.model, self.loss = copy.deepcopy(task.model), torch.nn.CrossEntropyLoss()
        self.optimizer = task.make_optimizer(self.model.parameters())
        self.framework: list[Clock] = []
        self.bare: list[Clock] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        self.batches = list(trainer.train_dataloader.batch_sampler)
        self.start = Clock.now()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.framework.append(Clock.now().since(self.start, len(self.batches)))
        dataset = trainer.datamodule.dataset
        self.model.train()
        with torch.enable_grad(), torch.inference_mode(False):
            start = Clock.now()
            self.epoch(dataset.pixels, dataset.labels)
            self.bare.append(Clock.now().since(start, len(self.batches)))

    def epoch(self, pixels: object, labels: torch.Tensor) -> list[float]:
        losses = []
        for rows in self.batches:
            image = standardise(in_unit_range(torch.from_numpy(pixels[rows])), 0.5, 0.5)
            loss = self.loss(self.model(image), labels[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses


def measure(name: str, rounds: int, threads: int) -> tuple[Bare, Task]:
    with tempfile.TemporaryDirectory() as outputs:
        common = ["hardware=cpu", f"hardware.threads={threads}", "objective=val/loss", f"epochs={rounds + 1}"]
        cfg = compose([*common, *SETTINGS[name], f"outputs={outputs}"]).cfg
        hardware = component(cfg.hardware)
        hardware.prepare()
        data = build_data(cfg)
        task = build_task(cfg, data, hardware)
        bare, out = Bare(task), Path(outputs)
        callbacks = [c for c in build_callbacks(cfg, out, NullRun(out)) if not isinstance(c, Progress)]
        trainer_for(cfg, out, hardware, logger=None, callbacks=[*callbacks, bare]).fit(task, datamodule=data)
    return bare, task


def report(name: str, bare: Bare, task: Task) -> None:
    twins = zip(task.model.state_dict().values(), bare.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in twins), "not the same computation"
    for kind in ("wall", "processor"):
        ours, theirs = ([getattr(clock, kind) * 1e3 for clock in kept[1:]] for kept in (bare.framework, bare.bare))
        added = statistics.median(a - b for a, b in zip(ours, theirs, strict=True))
        print(
            f"{name:<10}{kind:<11}{statistics.median(ours):10.3f}{statistics.median(theirs):10.3f}"
            f"{added:10.3f}{added / statistics.median(theirs):9.1%}   {LIMITS[name]}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=SETTINGS, help="measure one network")
    args = parser.parse_args()
    quiet()
    print(f"{'network':<10}{'clock':<11}{'fiducial':>10}{'bare':>10}{'added':>10}{'':>9}   limit")
    for name in [args.only] if args.only else SETTINGS:
        report(name, *measure(name, args.rounds, args.threads))


if __name__ == "__main__":
    main()
