"""The process that jobs are forked from: everything in it, and nothing that a fork would break."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fiducial.data.phantom import Phantom
from fiducial.sweeps.pool import WANTED

ALWAYS = [
    "torch._dynamo",
    "sklearn.metrics",
    "fiducial.runs.classified",
    "fiducial.runs.outcome",
    "fiducial.sweeps.worker",
]

LOOK = """
import gc, json, os, sys
import numpy, scipy.linalg, pyarrow  # these start threads at their import, and know what to do after a fork
threads = len(os.listdir("/proc/self/task"))
import fiducial.sweeps.warm
from fiducial.data.kept import kept
wanted = json.loads(os.environ["FIDUCIAL_WANTED"])
print(json.dumps({
    "threads": len(os.listdir("/proc/self/task")) - threads,
    "modules": [name for name in (*wanted["modules"], *fiducial.sweeps.warm.ALWAYS) if name in sys.modules],
    "cases": len(kept(wanted["source"]).cases),
    "mlflow": "mlflow" in sys.modules,
    "collecting": gc.isenabled(),
    "frozen": gc.get_freeze_count(),
}))
"""


@pytest.mark.slow
def test_everything_is_there_but_no_thread() -> None:
    source = {"_target_": "fiducial.data.phantom.Phantom", "num_subjects": 8}
    wanted = {"modules": ["fiducial.models.resnet", "fiducial.no_such_module"], "source": source}
    environment = {**os.environ, WANTED: json.dumps(wanted)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    seen = json.loads(done.stdout)
    assert seen["modules"] == ["fiducial.models.resnet", *ALWAYS]
    assert seen["cases"] == len(Phantom(num_subjects=8).cases)
    assert seen["threads"] == 0, "a thread would be missing in the forked processes"
    assert not seen["mlflow"], "the sweep delivers for its jobs"
    assert seen["collecting"]
    assert seen["frozen"] > 100_000
