"""Score boxes of usual sizes at random places in place of a run's: the least that a detector must beat.

python experiments/detection_phantom/random_boxes.py RUN [BOXES_AN_IMAGE]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fiducial.metrics.boxes import CaseBoxes
from fiducial.metrics.detection import DetectionScorer

REPEATS = 20


def random_case(entry: dict[str, Any], extents: np.ndarray, count: int, draw: np.random.Generator) -> CaseBoxes:
    """Return a case with boxes drawn anywhere in its image, their sizes from those that there are."""
    size, dims = np.array(entry["size"]), len(entry["size"])
    truth = np.array([box["pixels"] for box in entry["truth"]]).reshape(-1, 2 * dims)
    extent = extents[draw.integers(len(extents), size=count)]
    low = draw.random((count, dims)) * (size - extent)
    found = np.concatenate([low, low + extent], axis=1)
    zeros = np.zeros(count, np.int64), np.zeros(len(truth), np.int64)
    return CaseBoxes(found, draw.random(count), zeros[0], truth, zeros[1])


def main() -> None:
    """Print the mean of each score over repetitions."""
    content = json.loads((Path(sys.argv[1]) / "detections.json").read_text())
    count, draw = int(sys.argv[2]) if len(sys.argv) > 2 else 10, np.random.default_rng(0)
    ends = np.array([box["pixels"] for entry in content["cases"] for box in entry["truth"]])
    dims = ends.shape[1] // 2
    extents = ends[:, dims:] - ends[:, :dims]
    repeats = []
    for _ in range(REPEATS):
        cases = [random_case(entry, extents, count, draw) for entry in content["cases"]]
        repeats.append({name: values[0] for name, values in DetectionScorer(cases, ["lesion"])().items()})
    for name in repeats[0]:
        values = [each[name] for each in repeats]
        print(f"{name:22} {np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}")


if __name__ == "__main__":
    main()
