"""Which cases and boxes of a run are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from fiducial.data.boxes import Frame
from fiducial.metrics.boxes import CaseBoxes
from fiducial.runs.box_pictures import picture
from fiducial.runs.results import extremes
from fiducial.runs.segmented import best_first


@pytest.mark.parametrize("count", range(8))
def test_each_case_is_drawn_once(count: int) -> None:
    order = list(range(100, 100 + count))
    chosen = extremes(order)
    assert len(set(chosen.values())) == len(chosen) == min(count, 3)
    if count > 1:
        assert (chosen["best"], chosen["worst"]) == (order[0], order[-1])
    if count > 2:
        assert abs(order.index(chosen["median"]) - (count - 1) / 2) <= 0.5


@pytest.mark.parametrize(
    ("score", "order"),
    [("dice", [2, 0, 3, 1]), ("hd95", [3, 0, 1, 2]), ("volume_error", [3, 0, 1, 2])],
)
def test_the_best_case_is_the_best_by_its_score(score: str, order: list[int]) -> None:
    assert best_first(score, np.array([0.5, -0.6, 0.9, 0.1, np.nan])) == order


@pytest.mark.parametrize("dims", [2, 3])
def test_of_many_boxes_the_best_are_drawn(dims: int) -> None:
    draw = np.random.default_rng(0)
    low = draw.integers(0, 20, (40, dims)).astype(float)
    found = np.concatenate([low, low + 6], axis=1)
    score, label = draw.permutation(40) / 100, np.zeros(40, int)
    case = CaseBoxes(found, score, label, np.zeros((0, 2 * dims)), np.zeros(0, int))
    frame = Frame((1.0,) * dims, (0.0,) * dims, None if dims == 2 else np.eye(4))
    image = np.zeros((1, *(30,) * dims), np.uint8)
    figure = picture([("worst", image, case, frame)], ["mass"])
    assert "the best 12 of 40 boxes" in figure.axes[0].get_title(loc="left")
    few = picture([("worst", image, case.above(0.28), frame)], ["mass"])
    assert "the best" not in few.axes[0].get_title(loc="left")
    if dims == 2:
        labels = [text.get_text() for axes in figure.axes for text in axes.texts]
        assert sorted(labels) == [f"0.{number}" for number in range(28, 40)]
