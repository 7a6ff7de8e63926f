"""A loss that ends its process in the way it is told, once the first epoch is over. For the tests of sweeps."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch


class Misbehave(torch.nn.CrossEntropyLoss):
    """Cross-entropy that misbehaves at its thirtieth call, unless the file `mended` is there."""

    def __init__(self, how: str = "fine") -> None:
        super().__init__()
        self.how, self.calls = how, 0

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        """Return the loss, or do not."""
        self.calls += 1
        if self.calls == 30 and not Path("mended").exists():
            match self.how:
                case "raise":
                    raise RuntimeError("the loss is\nlost")
                case "exit":
                    os._exit(3)
                case "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "end":
                    os.kill(os.getpid(), signal.SIGTERM)
                case "hang":
                    time.sleep(3600)
        return super().forward(*given)
