"""What every run imports and reads first, so that a process forked from one that has imported this starts at once.

Nothing here computes with torch: threads that it started would be missing in the forked processes.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from importlib import import_module
from io import BytesIO, StringIO

from fiducial.garbage import spared
from fiducial.sweeps.pool import WANTED
from fiducial.tracking.provenance import installed

ALWAYS = (
    "torch._dynamo",  # Lightning and every optimizer bring it
    "sklearn.metrics",
    "fiducial.runs.classified",
    "fiducial.runs.outcome",
    "fiducial.sweeps.worker",
)


def warm_up() -> None:
    """Import what all jobs need and what these ones do, and read the cases that they share."""
    wanted = json.loads(os.environ.get(WANTED, "{}"))
    for module in (*ALWAYS, *wanted.get("modules", ())):
        with suppress(ImportError):  # each job says for itself what is missing
            import_module(module)
    rehearse()
    if source := wanted.get("source"):
        from fiducial.data.kept import keep

        with suppress(Exception):  # what is wrong with the data, each run says for itself
            keep(source)


def rehearse() -> None:
    """Do once what is slow the first time: fonts and versions are found and read, formats and characters."""
    import torch
    from matplotlib.figure import Figure
    from rich.console import Console

    figure = Figure()
    figure.add_subplot().set_title("rehearsal")
    figure.savefig(BytesIO(), format="png")
    Console(file=StringIO()).print("rehearsal")
    torch.save({}, BytesIO())
    installed()


with spared():
    warm_up()
