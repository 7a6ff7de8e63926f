"""What a run's data set says of itself in MLflow."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from PIL import Image

from fiducial.data.box_table import BoxTable
from fiducial.data.module import DataModule
from fiducial.data.phantom import Phantom
from fiducial.runs.provenance import _profile


def test_cases_of_each_class_in_training() -> None:
    data = DataModule(Phantom(num_subjects=12, size=[8, 8]))
    data.setup()
    train = data.source.cases.split == "train"
    found = _profile(data)
    assert found["train cases"] == train.sum()
    counts = [found[f"train cases of {name}"] for name in data.spec.classes]
    assert counts == [(data.source.cases.label[train] == number).sum() for number in range(2)]


def test_boxes_of_each_class_in_training(tmp_path: Path) -> None:
    """The labels of cases with boxes are all 0, and say nothing of classes."""
    lines = pd.DataFrame(
        [
            ("0.png", "train", 1, 2, 5, 6, "a"),
            ("0.png", "train", 7, 8, 9, 10, "b"),
            ("1.png", "train", 1, 2, 5, 6, "b"),
            ("2.png", "val", 1, 2, 5, 6, "b"),
            ("3.png", "test", 1, 2, 5, 6, "a"),
        ],
        columns=["path", "split", "x_min", "y_min", "x_max", "y_max", "label"],
    )
    for name in lines["path"].unique():
        Image.new("L", (16, 12)).save(f"{tmp_path}/{name}")
    lines.to_csv(f"{tmp_path}/cases.csv", index=False)
    data = DataModule(BoxTable(path=f"{tmp_path}/cases.csv"))
    data.setup()
    found = _profile(data)
    assert (found["train boxes of a"], found["train boxes of b"]) == (1, 2)
    assert not any(key.startswith("train cases of") for key in found)
