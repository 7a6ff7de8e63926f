"""Run the command as a user does: in a process and a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

HEAVY = ("torch", "pytorch_lightning", "monai", "mlflow", "pandas", "matplotlib", "scipy", "sklearn", "torchmetrics")
START = f"""
import atexit
import sys
from fiducial.cli import main
report = lambda: print("\\nheavy:", *sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
atexit.register(report)
main()
"""


@dataclass(frozen=True)
class Answer:
    """What a command said: exit code, output, message, and the heavy packages that it loaded."""

    code: int
    output: str
    message: str
    heavy: tuple[str, ...]


Command = Callable[..., Answer]


@pytest.fixture
def fiducial(tmp_path: Path) -> Command:
    """Return a function that runs `fiducial` with the given arguments in an empty folder."""

    def run(*arguments: str, **variables: str) -> Answer:
        environment = {key: value for key, value in os.environ.items() if key != "FIDUCIAL_DATA"} | variables
        done = subprocess.run(
            [sys.executable, "-P", "-c", START, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        message, _, heavy = done.stderr.rpartition("\nheavy:")
        return Answer(done.returncode, done.stdout, message, tuple(heavy.split()))

    return run
