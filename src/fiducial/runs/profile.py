"""Where the time of a training step goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.profiler import ProfilerActivity, profile

from fiducial.tracking import NullRun, Run

WARM_UP, STEPS, ROWS = 3, 10, 30
TRACE, TABLE = "trace.json", "operators.txt"


class Profile(pl.Callback):
    """Record the operators of some training steps with torch's profiler.

    Writes `trace.json`, for chrome://tracing or ui.perfetto.dev, and `operators.txt`, a table of the slowest.

    Args:
        folder: where they go.
        run: gets them as artifacts.
    """

    def __init__(self, folder: Path, run: Run | NullRun) -> None:
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it reports each start and stop
        self.folder, self.run = folder, run
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        self.profiler = profile(activities=activities)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the steps: after the first few, if there are so many."""
        steps = int(trainer.num_training_batches)
        self.first = min(WARM_UP, steps - 1)
        self.last = min(self.first + STEPS, steps) - 1

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start recording."""
        if trainer.is_global_zero and trainer.current_epoch == 0 and batch_idx == self.first:
            self.profiler.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write what was recorded."""
        if trainer.is_global_zero and trainer.current_epoch == 0 and batch_idx == self.last:
            self.profiler.stop()
            self._write()

    def _write(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.profiler.export_chrome_trace(str(self.folder / TRACE))
        sort_by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        table = self.profiler.key_averages().table(sort_by=sort_by, row_limit=ROWS, max_name_column_width=60)
        (self.folder / TABLE).write_text(table, encoding="utf-8")
        for name in (TRACE, TABLE):
            self.run.log_file(self.folder / name, self.folder.name)
        print(f"profile of steps {self.first} to {self.last}: {self.folder}")
