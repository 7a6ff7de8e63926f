"""The centre-point loss: goals and values worked out by hand from the paper's equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fiducial.losses.detection import CenterPointLoss, at, focal, goal

BOX = torch.tensor([[[4.0, 8.0, 12.0, 20.0], [0, 0, 0, 0]]])  # rows 4 to 12, columns 8 to 20
LABEL = torch.tensor([[1, -1]])
STRIDE = torch.tensor([4.0, 4.0])
CELLS = torch.Size([4, 6])


def test_the_goal_of_one_box() -> None:
    """Centre (8, 14) pixels is (2, 3.5) cells: cell (2, 3), half a cell along the columns; 2 by 3 cells large."""
    wanted = goal(BOX, LABEL, STRIDE, CELLS, num_classes=2, overlap=0.7)
    assert wanted.cell[0, 0].tolist() == [2, 3]
    assert wanted.offset[0, 0].tolist() == [0, 0.5]
    assert wanted.size[0, 0].tolist() == [2, 3]
    assert wanted.there.tolist() == [[True, False]]
    assert not wanted.heat[0, 0].any()
    share = 1 - (1.4 / 1.7) ** 0.5
    sigma = [(2 * share * extent + 1) / 6 for extent in (2, 3)]
    for row, column in ((2, 3), (1, 3), (2, 5), (3, 2)):
        expected = math.exp(-((row - 2) ** 2) / (2 * sigma[0] ** 2) - (column - 3) ** 2 / (2 * sigma[1] ** 2))
        assert float(wanted.heat[0, 1, row, column]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_radius_is_the_shift_that_keeps_the_overlap(dims: int) -> None:
    """Shifted by r along all axes, a box overlaps itself by just what was asked for."""
    size, overlap = np.array([10.0, 14.0, 6.0][:dims]), 0.6
    boxes = torch.tensor(np.concatenate([np.zeros(dims), size])[None, None], dtype=torch.float32)
    cells = torch.Size([20] * dims)
    heat = goal(boxes, torch.tensor([[0]]), torch.ones(dims), cells, 1, overlap).heat[0, 0]
    centre = [int(extent // 2) for extent in size]
    shift = []
    for axis in range(dims):
        beside = list(centre)
        beside[axis] += 1
        sigma = math.sqrt(-1 / (2 * math.log(float(heat[tuple(beside)]))))
        shift.append((6 * sigma - 1) / 2)
    common = np.prod(size - np.array(shift))
    assert common / (2 * np.prod(size) - common) == pytest.approx(overlap, rel=1e-4)


def test_of_two_near_objects_the_greater_heat_holds() -> None:
    boxes = torch.tensor([[[0.0, 0, 4, 4], [2, 2, 6, 6]]])
    both = goal(boxes, torch.tensor([[0, 0]]), torch.ones(2), torch.Size([8, 8]), 1, 0.5).heat
    each = [
        goal(boxes[:, k : k + 1], torch.tensor([[0]]), torch.ones(2), torch.Size([8, 8]), 1, 0.5).heat for k in (0, 1)
    ]
    torch.testing.assert_close(both, torch.maximum(*each))
    assert int((both == 1).sum()) == 2


def test_focal_loss_by_hand() -> None:
    """Equation 1 with alpha 2 and beta 4, cell by cell."""
    p, y = torch.tensor([[0.8, 0.3, 0.1, 0.6]]), torch.tensor([[1.0, 0.5, 0.0, 0.9]])
    expected = -((0.2**2) * math.log(0.8))
    for prob, heat in ((0.3, 0.5), (0.1, 0.0), (0.6, 0.9)):
        expected -= (1 - heat) ** 4 * prob**2 * math.log(1 - prob)
    found = focal(p.logit()[None], y[None], alpha=2.0, beta=4.0)
    assert found.shape == (1,)
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_a_batch_by_hand() -> None:
    """Focal + L1 of offset + 0.1 L1 of size over the objects of an image; the mean over images, one without objects."""
    boxes = torch.tensor([[[0.0, 0, 4, 4], [4, 4, 8, 8]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    label = torch.tensor([[0, 0], [-1, -1]])
    output = torch.zeros(2, 5, 2, 2)
    output[0, 1:3] = 0.2  # offsets
    output[0, 3:5] = 1.5  # sizes
    loss = CenterPointLoss(overlap=0.99)(output, boxes, label, torch.tensor([4.0, 4.0]))
    heat = goal(boxes, label, torch.tensor([4.0, 4.0]), torch.Size([2, 2]), 1, 0.99).heat
    focals = focal(output[:, :1], heat, 2.0, 4.0)
    # centres at 0.5 of the cell, sizes of 1 cell: two objects with 2 * 0.3 and 2 * 0.5
    first = (float(focals[0]) + 2 * 0.6 + 0.1 * 2 * 1.0) / 2
    assert float(loss) == pytest.approx((first + float(focals[1])) / 2, rel=1e-5)
    assert float(focals[1]) == pytest.approx(4 * 0.25 * math.log(2), rel=1e-5)


def test_gradients_reach_sizes_at_centres_only() -> None:
    output = torch.zeros(1, 5, 2, 2, requires_grad=True)
    CenterPointLoss()(
        output, torch.tensor([[[0.0, 0, 4, 4]]]), torch.tensor([[0]]), torch.tensor([4.0, 4.0])
    ).backward()
    assert output.grad is not None
    touched = output.grad[0, 1:].abs().sum(0) > 0
    assert touched.tolist() == [[True, False], [False, False]]
    assert (output.grad[0, 0] != 0).all()


def test_values_are_read_in_given_cells() -> None:
    values = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).view(1, 2, 3, 4, 5)
    cell = torch.tensor([[[2, 1, 3], [0, 0, 0]]])
    torch.testing.assert_close(at(values, cell)[0, 0], values[0, :, 2, 1, 3])
