"""An optimizer that ends its run at the first step, and says when that was. For `start_up.py`."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import torch


class FirstStep(torch.optim.SGD):
    """Stochastic gradient descent, for one step."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Write the time and the processor seconds used so far into the file $FIRST_STEP, then interrupt."""
        super().step(closure)
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        processor = sum(usage.ru_utime + usage.ru_stime for usage in used)
        Path(os.environ["FIRST_STEP"]).write_text(json.dumps([time.monotonic(), processor]))
        raise KeyboardInterrupt
