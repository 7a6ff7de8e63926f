"""Centre lines against what is known of lines, discs and letters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fiducial.metrics.skeleton import centreline_dice, skeleton

ALL = np.ones((3, 3), int)


def bar(width: int, length: int = 40) -> np.ndarray:
    mask = np.zeros((21, length + 10), bool)
    mask[10 - width // 2 : 10 + width // 2 + 1, 5:-5] = True
    return mask


@pytest.mark.parametrize("width", [1, 3, 5, 9])
def test_a_bar_gives_its_middle_line(width: int) -> None:
    lines = skeleton(bar(width))
    assert set(np.argwhere(lines)[:, 0].tolist()) == {10}
    assert 40 - 2 * width <= lines.sum() <= 40


def test_a_line_one_pixel_wide_stays() -> None:
    mask = np.eye(20, dtype=bool)
    assert (skeleton(mask) == mask).all()


@pytest.mark.parametrize("seed", range(5))
def test_thinning_keeps_parts_and_holes(seed: int) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(80, 80)), 3)
    mask = np.pad(noise > 0.02, 1)
    lines = skeleton(mask)
    assert not (lines & ~mask).any()
    parts, holes = ndimage.label(mask, ALL)[1], ndimage.label(~mask)[1]
    assert ndimage.label(lines, ALL)[1] == parts
    assert ndimage.label(~lines)[1] == holes
    assert lines.sum() < mask.sum() / 3


def test_the_algorithm_of_the_paper_on_a_small_letter() -> None:
    """Two bars that meet: no pixel of the result has a full neighbourhood, and the corner is kept."""
    mask = np.zeros((24, 24), bool)
    mask[3:21, 4:8] = mask[17:21, 4:20] = True
    lines = skeleton(mask)
    assert ndimage.label(lines, ALL)[1] == 1
    around = ndimage.convolve(lines.astype(int), ALL, mode="constant")
    assert (around[lines] <= 4).all()
    ends = np.argwhere(lines & (around == 2))
    assert len(ends) == 2


def test_cldice_by_hand() -> None:
    """A prediction that covers half of a bar's length: all its lines are right, half of the true ones are met."""
    truth = bar(1)
    predicted = truth.copy()
    predicted[:, 25:] = False
    assert centreline_dice(predicted, truth) == pytest.approx(2 * 0.5 / 1.5)
    assert centreline_dice(truth, truth) == 1


def test_cldice_counts_lines_and_not_width() -> None:
    assert centreline_dice(bar(1), bar(9)) > 0.85
    dice = 2 * (bar(1) & bar(9)).sum() / (bar(1).sum() + bar(9).sum())
    assert dice < 0.25


def test_a_square_of_two_by_two_counts() -> None:
    """Thinning leaves nothing of it."""
    mask = np.zeros((6, 6), bool)
    mask[2:4, 2:4] = True
    assert centreline_dice(mask, mask) == 1


def test_lines_of_a_volume() -> None:
    mask = np.zeros((9, 9, 30), bool)
    mask[3:6, 3:6, 4:26] = True
    lines = skeleton(mask)
    assert lines[4, 4, 5:25].all()
    assert not (lines & ~mask).any()
    assert centreline_dice(mask, mask) == 1
