"""The pointing game and the activated box, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fiducial.metrics.localisation import activated_box, localisation_scores, pointed

BOXES = np.array([[2.0, 3, 6, 8]])


def test_pointing() -> None:
    for place, hit in (((2, 3), True), ((5, 7), True), ((6, 7), False), ((1, 3), False), ((5, 8), False)):
        values = np.zeros((10, 12), np.float32)
        values[place] = 1
        assert pointed(values, BOXES) is hit
        assert pointed(values, np.concatenate([np.zeros((1, 4)), BOXES])) is hit
    assert not pointed(np.zeros((10, 12), np.float32), np.array([[0.0, 0, 10, 12]]))


def test_the_activated_box_is_around_the_largest_part() -> None:
    values = np.zeros((10, 12), np.float32)
    values[0, 0] = 1.0  # the greatest value, alone
    values[4:7, 5:10] = 0.2
    values[4, 4] = 0.19
    assert activated_box(values).tolist() == [[4, 5, 7, 10]]
    assert activated_box(values, share=0.5).tolist() == [[0, 0, 1, 1]]
    assert activated_box(np.zeros((4, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("dims", [2, 3])
def test_scores_of_an_image(dims: int) -> None:
    values, box = np.zeros((10,) * dims, np.float32), np.array([[2.0] * dims + [6.0] * dims])
    values[(slice(2, 6),) * (dims - 1) + (slice(2, 4),)] = 0.7  # half of the box
    values[(2,) * dims] = 1
    assert localisation_scores(values, box) == pytest.approx(
        {"pointing_game": 1, "pointing_by_chance": 4**dims / 10**dims, "box_overlap": 0.5}
    )
    silent = localisation_scores(np.zeros_like(values), box)
    assert (silent["pointing_game"], silent["box_overlap"]) == (0, 0)
