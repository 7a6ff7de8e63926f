"""Augmented boxes stay around what they were around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fiducial.data.augment import Augment, Sides
from fiducial.randomness import generator


def bright(size: tuple[int, ...], box: list[int]) -> torch.Tensor:
    image = torch.zeros(1, 1, *size)
    dims = len(size)
    image[(0, 0, *(slice(box[axis], box[dims + axis]) for axis in range(dims)))] = 1
    return image


def bounds(image: np.ndarray) -> list[float]:
    places = np.argwhere(image > 0.5)
    return [*places.min(axis=0), *(places.max(axis=0) + 1)]


@pytest.mark.parametrize("size", [(40, 52), (20, 32, 28)])
@pytest.mark.parametrize(
    "options",
    [
        {"flip_axes": [0, -1]},
        {"zoom": [0.8, 1.25]},
        {"shift": 0.1},
        {"flip_axes": [-1], "zoom": [0.9, 1.2], "shift": 0.1},
    ],
)
def test_boxes_follow_what_they_hold(size: tuple[int, ...], options: dict[str, Any]) -> None:
    box = [extent // 3 for extent in size] + [extent // 3 + 8 for extent in size]
    augment, moved = Augment(**options, probability=0.5 if "flip_axes" in options else 1), 0
    for draw in range(6):
        given = torch.tensor([[box]], dtype=torch.float32), torch.zeros(1, 1, dtype=torch.int64)
        image, boxes, label = augment.with_boxes(bright(size, box), *given, generator(draw))
        assert label.tolist() == [[0]]
        np.testing.assert_allclose(boxes[0, 0].numpy(), bounds(image[0, 0].numpy()), atol=0.75)
        moved += bool((boxes[0, 0] - given[0][0, 0]).abs().max() > 0.5)
    assert moved


def test_a_rotated_box_holds_its_corners() -> None:
    box = [16, 16, 24, 24]  # in the middle of 40 pixels
    for draw in range(5):
        given = torch.tensor([[box]], dtype=torch.float32), torch.zeros(1, 1, dtype=torch.int64)
        image, boxes, _ = Augment(rotate=45, probability=1).with_boxes(bright((40, 40), box), *given, generator(draw))
        extent = boxes[0, 0, 2:] - boxes[0, 0, :2]
        assert float(extent[0]) == pytest.approx(float(extent[1]), abs=1e-4)
        assert 8 <= float(extent[0]) <= 8 * 2**0.5 + 1e-3
        inside = bounds(image[0, 0].numpy())
        assert (np.array(inside[:2]) >= boxes[0, 0, :2].numpy() - 0.75).all()
        assert (np.array(inside[2:]) <= boxes[0, 0, 2:].numpy() + 0.75).all()


def test_what_leaves_the_image_is_no_longer_there() -> None:
    gone = 0
    for draw in range(20):
        given = torch.tensor([[[0.0, 0, 6, 6]]]), torch.zeros(1, 1, dtype=torch.int64)
        augment = Augment(shift=0.4, probability=1)
        _, boxes, label = augment.with_boxes(torch.zeros(1, 1, 20, 20), *given, generator(draw))
        assert float(boxes.min()) >= 0
        assert float(boxes.max()) <= 20
        gone += int(label[0, 0] == -1)
    assert 0 < gone < 20


def test_empty_places_stay_empty_and_sides_change() -> None:
    label = torch.tensor([[0, 1, -1]])
    swapped = 0
    for draw in range(8):
        boxes = torch.tensor([[[2.0, 2, 6, 6], [2, 10, 6, 14], [0, 0, 0, 0]]])
        augment, sides = Augment(flip_axes=[-1]), Sides(1, (1, 0))
        _, moved, now = augment.with_boxes(torch.zeros(1, 1, 20, 20), boxes, label, generator(draw), sides)
        mirrored = bool((moved[0, 0] - boxes[0, 0]).abs().max() > 0)
        assert now.tolist() == ([[1, 0, -1]] if mirrored else [[0, 1, -1]])
        swapped += mirrored
    assert 0 < swapped < 8
