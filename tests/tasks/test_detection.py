"""The detection task: what it keeps of each case, and the threshold that goes with the weights."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.losses import CenterPointLoss
from fiducial.models.center_point import CenterPoint
from fiducial.tasks.decoding import decoded
from fiducial.tasks.detection import Detection, boxes_of


def task(**options: Any) -> Detection:
    torch.manual_seed(0)
    model = CenterPoint(backbone=nn.Conv2d(1, 4, 3, stride=2, padding=1), num_features=4, num_classes=1, prior=0.3)
    return Detection(
        model=model,
        loss=CenterPointLoss(),
        target="boxes",
        num_classes=1,
        contract={},
        classes=["lesion"],
        optimizer=partial(torch.optim.SGD, lr=0.1),
        **options,
    )


def batch() -> dict[str, Any]:
    boxes = torch.tensor([[[2.0, 2, 8, 8], [10, 10, 14, 15]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    label = torch.tensor([[0, 0], [-1, -1]])
    return {"image": torch.randn(2, 1, 16, 16), "boxes": boxes, "box_label": label, "valid": 2, "size": 2}


def test_a_step_gives_loss_and_boxes() -> None:
    learner, given = task(), batch()
    loss, nothing = learner.step(given)
    assert nothing == {}
    loss.backward()
    learner.eval()
    loss, outputs = learner.step(given)
    output = learner.model(given["image"])
    expected = learner.loss(output, given["boxes"], given["box_label"], torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(loss, expected)
    first, second = boxes_of(outputs)
    assert (len(first.truth), len(second.truth)) == (2, 0)
    peaks = decoded(output.detach(), (16, 16), 50)[0][0]
    assert set(map(tuple, first.found.tolist())) <= set(map(tuple, peaks.double().tolist()))


def test_the_threshold_is_chosen_on_validation_and_kept_with_the_weights() -> None:
    learner = task()
    learner.eval()
    assert learner.chosen_threshold == 0.5
    outputs = learner.step(batch())[1]
    # of two boxes one is found, and two false positives are less sure
    outputs["found_label"][:] = -1
    outputs["found_label"][:, :2] = torch.tensor([[0, 0], [0, -1]])
    outputs["found"][0, 0], outputs["found"][:, 1], outputs["found"][1, 0] = outputs["boxes"][0, 0], 0, 0
    outputs["score"][:, :2] = torch.tensor([[0.875, 0.5], [0.25, 0]])
    learner._trainer = SimpleNamespace(testing=False)  # type: ignore[assignment]
    found = learner.scores(outputs)
    assert set(found) == {"cpm", "map_50", "image_auroc"}
    assert learner.chosen_threshold == 0.875
    again = task()
    again.load_state_dict(learner.state_dict())
    assert again.chosen_threshold == 0.875
    fixed = task(threshold=0.25)
    fixed._trainer = SimpleNamespace(testing=False)  # type: ignore[assignment]
    fixed.scores(outputs)
    assert fixed.chosen_threshold == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hit": 1.5}, "task.hit must be centre"),
        ({"hit": "center"}, "task.hit"),
        ({"threshold": 2.0}, "task.threshold"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        task(**options)
