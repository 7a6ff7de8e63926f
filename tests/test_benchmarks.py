"""Benchmarks at their smallest: an option that they set and that the package has come to refuse shows here.

Those of whole commands, of volumes and of MedNIST take too long for that.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import forked

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALLEST = {  # what it is given, and a line that it prints
    "compare": ("--runs 6 --cases 20", "pandas"),
    "coverage": ("--samples 3", "30"),
    "dicom": ("--series 1 --slices 3 --size 16 --rounds 1", "import"),
    "overhead": ("--only tiny --rounds 1", "tiny"),
    "search": ("--trials 3 --rounds 1", "Fiducial"),
    "throughput": ("--kind cpu --model plain_cnn --steps 3", "["),
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SMALLEST)
def test_benchmark_runs_to_its_end(name: str, tmp_path: Path) -> None:
    if name == "throughput" and "FIDUCIAL_DATA" not in os.environ:
        pytest.skip("FIDUCIAL_DATA is not set: PneumoniaMNIST is needed")
    options, printed = SMALLEST[name]
    script = BENCHMARKS / f"{name}.py"

    done = forked.run(
        [sys.executable, str(script), *options.split()], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert printed in done.stdout
