"""Boxes of cases as JSON: what was found, and what is there where somebody knows.

    {"box": ["x_min", "y_min", "x_max", "y_max"], "ends": "half_open", "classes": ["lesion"], "threshold": 0.41,
     "cases": [{"case": "a.png", "subject": "p1", "split": "test", "size": [512, 512],
                "found": [{"label": "lesion", "score": 0.93, "pixels": [12.1, 40.0, 30.5, 61.2]}],
                "truth": [{"label": "lesion", "pixels": [12, 41, 30, 60]}]}]}

Pixels are those of the case's file, counted from 0; a box reaches from its low ends to its high ends. Volumes have z
ends too, and `mm` beside `pixels` where the file says where it lies: x to the right, y to the front, z to the head
(RAS+).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.data.boxes import Boxes, Frame, xyz


@dataclass(frozen=True)
class CaseDetections:
    """What was found in one case.

    Attributes:
        case: its id, or the name of its file.
        size: of the file in array order, in pixels.
        frame: where the file's pixels lie.
        found: boxes in pixels of the file, the surest first.
        score: of each, `(found,)`.
        truth: boxes that are there, in pixels of the file; None where nobody knows.
        subject: the patient, or None.
        split: that the case is in, or None.
    """

    case: str
    size: tuple[int, ...]
    frame: Frame
    found: Boxes
    score: NDArray[np.float64]
    truth: Boxes | None = None
    subject: str | None = None
    split: str | None = None


def write_detections(
    path: Path, cases: Sequence[CaseDetections], *, classes: Sequence[str], threshold: float, dims: int
) -> None:
    """Write the boxes of all cases, whole or not at all.

    Args:
        path: of the file.
        cases: what was found.
        classes: names of the kinds of objects.
        threshold: score from which boxes are called.
        dims: number of spatial axes.
    """
    ends = [f"{axis}_{end}" for end in ("min", "max") for axis in "xyz"[:dims]]
    facts = {"box": ends, "ends": "half_open", "classes": list(classes), "threshold": round(threshold, 6)}
    lines = ",\n  ".join(json.dumps(_case(case, classes)) for case in cases)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(f'{json.dumps(facts)[:-1]},\n "cases": [\n  {lines}]}}\n', encoding="utf-8")
    partial.replace(path)


def _case(case: CaseDetections, classes: Sequence[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {"case": case.case}
    facts |= {name: value for name, value in (("subject", case.subject), ("split", case.split)) if value is not None}
    facts["size"] = list(case.size[::-1])
    facts["found"] = [
        {"label": entry.pop("label"), "score": round(float(score), 6), **entry}
        for entry, score in zip(_boxes(case.found, case.frame, classes), case.score, strict=True)
    ]
    return facts if case.truth is None else {**facts, "truth": _boxes(case.truth, case.frame, classes)}


def _boxes(boxes: Boxes, frame: Frame, classes: Sequence[str]) -> list[dict[str, Any]]:
    entries = [
        {"label": classes[number], "pixels": _rounded(row)}
        for number, row in zip(boxes.label.tolist(), xyz(boxes.corners), strict=True)
    ]
    if frame.affine is not None:
        for entry, row in zip(entries, frame.in_mm(boxes.corners), strict=True):
            entry["mm"] = _rounded(row)
    return entries


def _rounded(row: NDArray[Any]) -> list[float]:
    return [round(float(value), 3) for value in row]
