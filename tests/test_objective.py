from __future__ import annotations

import pytest

from fiducial.objective import lower_is_better


@pytest.mark.parametrize(
    ("objective", "lower"),
    [
        ("val/loss", True),
        ("val/mae", True),
        ("val/calibration_error", True),
        ("val/auroc", False),
        ("val/f1", False),
        ("false_positives", True),
        ("hd95/tumour", True),
        ("val/hd95/tumour", True),
        ("val/dice/centre", False),  # a class whose name ends as a metric does
        ("val/dice/bone_loss", False),
        ("dice/loss", False),
        ("test/volume_error", True),
    ],
)
def test_direction_of_an_objective(objective: str, lower: bool) -> None:
    assert lower_is_better(objective) is lower
