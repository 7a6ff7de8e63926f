"""From maps to boxes: what a perfect network says is decoded to the boxes that it was to say."""

from __future__ import annotations

import inspect
from dataclasses import asdict

import numpy as np
import pytest
import torch

from fiducial.errors import InputError
from fiducial.losses.detection import goal
from fiducial.metrics.boxes import overlap
from fiducial.tasks.decoding import Decoder, decoded
from fiducial.tasks.detection import Detection

TWO = ([[4.0, 8, 13, 20], [20, 3, 27, 9]], (32, 40))
THREE = ([[1.0, 4, 8, 6, 13, 20], [10, 20, 3, 15, 27, 9]], (16, 32, 40))


def perfect(
    boxes: torch.Tensor, label: torch.Tensor, size: tuple[int, ...], stride: float, classes: int
) -> torch.Tensor:
    """Return what a network would say that has no loss."""
    dims = len(size)
    cells = torch.Size([int(extent / stride) for extent in size])
    wanted = goal(boxes, label, torch.full((dims,), stride), cells, classes, 0.7)
    maps = torch.zeros(1, 2 * dims, *cells)
    for number in range(boxes.shape[1]):
        if label[0, number] >= 0:
            place = (0, slice(None), *wanted.cell[0, number].tolist())
            maps[place] = torch.cat([wanted.offset[0, number], wanted.size[0, number]])
    heat = wanted.heat.clamp(1e-4, 1 - 1e-4).logit()
    return torch.cat([heat, maps], dim=1)


@pytest.mark.parametrize(("boxes", "size"), [TWO, THREE])
@pytest.mark.parametrize("stride", [1.0, 2.0, 4.0])
def test_what_was_to_be_said_is_decoded(boxes: list[list[float]], size: tuple[int, ...], stride: float) -> None:
    truth, label = torch.tensor(boxes)[None], torch.tensor([[1, 0]])
    found = Decoder(max_boxes=10, min_score=0.5)(perfect(truth, label, size, stride, 2), size)
    there = found["found_label"][0] >= 0
    assert there.tolist() == [True, True, *[False] * 8]
    order = found["found_label"][0, :2].argsort(descending=True)
    torch.testing.assert_close(found["found"][0, order], truth[0], atol=1e-3, rtol=0)
    assert (found["score"][0, :2] > 0.99).all()
    assert not found["score"][0, 2:].any()


def test_boxes_are_cut_off_at_the_border() -> None:
    output = torch.full((1, 5, 4, 4), -9.0)
    output[0, 0, 0, 3] = 9
    output[0, 1:3], output[0, 3:5] = 0.5, 6.0
    boxes, score, _ = decoded(output, (8, 8), most=3)
    assert boxes[0, 0].tolist() == [0, 1, 7, 8]
    assert float(score[0, 0]) == pytest.approx(1, abs=1e-3)


def test_only_peaks_are_boxes() -> None:
    """Every box stands at a cell with no greater neighbour: a search by brute force finds the same cells."""
    torch.manual_seed(0)
    heat = torch.randn(1, 2, 7, 9)
    output = torch.cat([heat, torch.full((1, 2, 7, 9), 0.5), torch.ones(1, 2, 7, 9)], dim=1)
    boxes, score, label = decoded(output, (7, 9), most=126)
    found = {
        (int(k), int(box[0]), int(box[1])) for box, s, k in zip(boxes[0], score[0], label[0], strict=True) if s > 0
    }
    expected = {
        (k, row, column)
        for k, row, column in np.ndindex(2, 7, 9)
        if heat[0, k, row, column] == heat[0, k, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].max()
    }
    assert found == expected
    assert (score[0].diff() <= 0).all()


def test_doubles_go() -> None:
    draw = np.random.default_rng(0)
    maps = torch.tensor(draw.normal(size=(2, 1, 12, 12)), dtype=torch.float32)
    output = torch.cat([maps, torch.full((2, 2, 12, 12), 0.5), torch.full((2, 2, 12, 12), 5.0)], dim=1)
    found = Decoder(max_boxes=40, min_score=0.2, doubles=0.25)(output, (24, 24))
    for row in range(2):
        there = found["found_label"][row] >= 0
        assert 1 < there.sum() < 40
        boxes = found["found"][row][there].double().numpy()
        assert (overlap(boxes, boxes)[~np.eye(len(boxes), dtype=bool)] <= 0.25).all()
        assert float(found["score"][row][there].min()) >= 0.2


def test_fewer_cells_than_boxes() -> None:
    found = Decoder(max_boxes=50, min_score=0.0)(torch.zeros(1, 5, 2, 2), (4, 4))
    assert found["found"].shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"max_boxes": 0}, "max_boxes"), ({"min_score": 2}, "min_score"), ({"doubles": -1}, "doubles")],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=f"task.{message} must be"):
        Decoder(**options)  # type: ignore[arg-type]


def test_what_a_prediction_takes_by_default_is_what_the_task_takes() -> None:
    arguments = inspect.signature(Detection).parameters
    assert {name: arguments[name].default for name in asdict(Decoder())} == asdict(Decoder())
