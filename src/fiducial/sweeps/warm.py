"""What every run imports and reads first, so that a process forked from one that has imported this starts at once.

Nothing here computes with torch: threads that it started would be missing in the forked processes.
"""

from __future__ import annotations

import gc
import json
import os
from contextlib import suppress
from io import BytesIO, StringIO

import sklearn.metrics  # noqa: F401
import torch._dynamo
from matplotlib.figure import Figure
from rich.console import Console

import fiducial.runs.classified
import fiducial.runs.outcome
import fiducial.sweeps.worker  # noqa: F401
from fiducial.data.kept import keep
from fiducial.sweeps.pool import SOURCE


def rehearse() -> None:
    """Do once what is slow the first time: fonts are found and read, formats and tables of characters loaded."""
    figure = Figure()
    figure.add_subplot().set_title("rehearsal")
    figure.savefig(BytesIO(), format="png")
    Console(file=StringIO()).print("rehearsal")
    torch.save({}, BytesIO())


rehearse()
if described := os.environ.get(SOURCE):
    with suppress(Exception):  # what is wrong with the data, each run says for itself
        keep(json.loads(described))
gc.freeze()  # what is here stays: collecting it again in each job would copy every page of it
